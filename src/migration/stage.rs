//! The stages of a migration: a table with a row for each, which the rest of the program reads.

use std::fmt;

/// Where a route stands between the monolith and its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    Monolith,
    Shadow,
    Canary,
    Split,
    Migrated,
    Retired,
}

/// Which side answers clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    Monolith,
    /// The service for the clients below the weight, the monolith for the others.
    ByWeight,
    /// The variant that a client was assigned.
    ByVariant,
    Service,
}

/// When the monolith answers in place of a service that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallsBack {
    Never,
    /// Only with `fallback = true`.
    IfAsked,
    /// Unless the file says `fallback = false`.
    ByDefault,
}

/// Which upstream gets the copies of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopiesTo {
    None,
    Service,
    /// With `shadow.reverse`.
    Monolith,
}

/// The fixed properties of a stage, whatever a file says.
#[derive(Debug)]
struct Row {
    word: &'static str,
    answers: Answers,
    falls_back: FallsBack,
    copies: CopiesTo,
}

/// In the order of [`Stage::ALL`].
const TABLE: [Row; 6] = [
    row("monolith", Answers::Monolith, FallsBack::Never, CopiesTo::None),
    row("shadow", Answers::Monolith, FallsBack::Never, CopiesTo::Service),
    row("canary", Answers::ByWeight, FallsBack::ByDefault, CopiesTo::Service),
    row("split", Answers::ByVariant, FallsBack::Never, CopiesTo::None),
    row("migrated", Answers::Service, FallsBack::IfAsked, CopiesTo::Monolith),
    row("retired", Answers::Service, FallsBack::Never, CopiesTo::None),
];

const fn row(word: &'static str, answers: Answers, falls_back: FallsBack, copies: CopiesTo) -> Row {
    Row { word, answers, falls_back, copies }
}

impl Stage {
    pub const ALL: [Self; 6] = [Self::Monolith, Self::Shadow, Self::Canary, Self::Split, Self::Migrated, Self::Retired];

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The word used in routes.toml, metrics and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().word
    }

    #[must_use]
    pub const fn answers(self) -> Answers {
        self.row().answers
    }

    #[must_use]
    pub const fn falls_back(self) -> FallsBack {
        self.row().falls_back
    }

    #[must_use]
    pub const fn copies(self) -> CopiesTo {
        self.row().copies
    }

    /// The service answers all clients: the route's migration is done.
    #[must_use]
    pub const fn is_moved(self) -> bool {
        matches!(self.answers(), Answers::Service)
    }

    /// Two clients may be answered by different sides.
    #[must_use]
    pub const fn divides(self) -> bool {
        matches!(self.answers(), Answers::ByWeight | Answers::ByVariant)
    }

    /// A route's weight counts.
    #[must_use]
    pub const fn has_weight(self) -> bool {
        matches!(self.answers(), Answers::ByWeight)
    }

    /// The monolith may answer in place of the service.
    #[must_use]
    pub const fn may_fall_back(self) -> bool {
        !matches!(self.falls_back(), FallsBack::Never)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the README's table, its heads left out.
    fn readme() -> Vec<Vec<String>> {
        let stages =
            include_str!("../../README.md").split_once("\n## The stages\n").expect("a chapter on the stages").1;
        let rows = stages.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        rows.skip(2).map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
    }

    #[test]
    fn the_table_of_the_readme_says_the_same() {
        let rows = readme();
        assert_eq!(rows.len(), Stage::ALL.len());
        for (stage, row) in Stage::ALL.into_iter().zip(rows) {
            let [word, answers, instead, copies, weight] = &row[..] else { panic!("{row:?}") };
            assert_eq!(*word, format!("`{stage}`"));
            let expected = match stage.answers() {
                Answers::Monolith => ("the monolith", "–"),
                Answers::ByWeight => ("the service for `weight`", "required"),
                Answers::ByVariant => ("the variant", "one for each variant"),
                Answers::Service => ("the service", "–"),
            };
            assert!(answers.starts_with(expected.0) && weight == expected.1, "{row:?}");
            let expected = match stage.falls_back() {
                FallsBack::Never => "–",
                FallsBack::IfAsked => "the monolith, only with `fallback = true`",
                FallsBack::ByDefault => "the monolith, if",
            };
            assert!(instead.starts_with(expected), "{row:?}");
            let expected = match stage.copies() {
                CopiesTo::None => "–",
                CopiesTo::Service => "the service",
                CopiesTo::Monolith => "the monolith, safe methods only",
            };
            assert!(copies.starts_with(expected), "{row:?}");
        }
    }

    #[test]
    fn the_words_are_those_of_the_file() {
        for (place, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, place);
            let text = format!("[monolith]\nurl = \"http://a\"\n[routes.a]\npath = \"/\"\nstage = \"{stage}\"\n");
            let mut mistakes = crate::diagnostic::Diagnostics::default();
            drop(crate::config::parse(&text, &|_| None, &mut mistakes));
            assert!(mistakes.is_empty(), "{stage}: {mistakes:?}");
        }
    }
}
