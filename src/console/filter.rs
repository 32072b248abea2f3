//! The grammar of the filter boxes: words that stand in the name or path, `stage:canary`, `service:users`, `errors>1%`.

use super::overview::Overview;
use super::verdict::word;
use crate::admin::RouteFigures;

/// What a filter asks; all of it must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
    wrong: Option<BadTerm>,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Word(String),
    Stage(String),
    Service(String),
    Verdict(String),
    Figure(Figure, bool, f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Errors,
    P99,
    Differ,
    Requests,
}

/// A part of a filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTerm {
    #[error("`{0}` is no figure: errors, p99, differ and requests are")]
    NoFigure(Box<str>),
    #[error("`{0}` is no number: write 1%, 200ms or 50")]
    NoNumber(Box<str>),
}

impl Filter {
    pub fn read(text: &str) -> Self {
        let mut filter = Self::default();
        for word in text.split_whitespace() {
            match term(word) {
                Ok(term) => filter.terms.push(term),
                Err(why) => filter.wrong = Some(why),
            }
        }
        filter
    }

    /// What of it could not be read.
    pub const fn wrong(&self) -> Option<&BadTerm> {
        self.wrong.as_ref()
    }

    /// By what is known without figures.
    pub fn may_take(&self, name: &str, stage: &str, matched: impl Fn() -> String) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Word(word) => {
                name.to_lowercase().contains(word.as_str()) || matched().to_lowercase().contains(word.as_str())
            }
            Term::Stage(wanted) => stage == wanted,
            _ => true,
        })
    }

    /// By its figures, of which only those are looked at that the filter names. `number`: its place among the routes.
    pub fn takes(&self, route: &RouteFigures<'_>, (number, overview): (usize, &Overview)) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Word(_) | Term::Stage(_) => true,
            Term::Service(wanted) => route.services().any(|service| service.eq_ignore_ascii_case(wanted)),
            Term::Verdict(wanted) => word(route).1.to_lowercase().contains(wanted.as_str()),
            Term::Figure(figure, above, limit) => {
                let value = match figure {
                    Figure::Errors => overview.answers(number).worst,
                    Figure::P99 => overview.p99(route.parts, route.generation, number),
                    Figure::Differ => route.mismatch_rate(),
                    #[expect(clippy::cast_precision_loss, reason = "compared with what a person typed")]
                    Figure::Requests => Some(route.sums().0 as f64),
                };
                value.is_some_and(|value| if *above { value > *limit } else { value < *limit })
            }
        })
    }
}

fn term(word: &str) -> Result<Term, BadTerm> {
    if let Some((key, value)) = word.split_once(':') {
        let value = value.to_lowercase();
        return match key {
            "stage" => Ok(Term::Stage(value)),
            "service" => Ok(Term::Service(value)),
            "verdict" => Ok(Term::Verdict(value)),
            _ => Ok(Term::Word(word.to_lowercase())),
        };
    }
    let Some(at) = word.find(['>', '<']) else { return Ok(Term::Word(word.to_lowercase())) };
    let (key, rest) = word.split_at(at);
    let figure = match key {
        "errors" => Figure::Errors,
        "p99" => Figure::P99,
        "differ" => Figure::Differ,
        "requests" => Figure::Requests,
        _ => return Err(BadTerm::NoFigure(key.into())),
    };
    let limit = number(&rest[1..]).ok_or_else(|| BadTerm::NoNumber(rest[1..].into()))?;
    Ok(Term::Figure(figure, rest.starts_with('>'), limit))
}

fn number(text: &str) -> Option<f64> {
    if let Some(percent) = text.strip_suffix('%') {
        return percent.parse::<f64>().ok().map(|percent| percent / 100.0);
    }
    text.parse().ok().or_else(|| crate::config::read_duration(text).map(|time| time.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_stages_are_taken_without_figures_and_mistakes_are_said() {
        let filter = Filter::read("Stage stage:canary /users");
        assert!(filter.wrong().is_none());
        let path = || "GET /Users/{id}".to_owned();
        assert!(Filter::read("users stage:canary").may_take("read", "canary", path));
        assert!(!Filter::read("users stage:canary").may_take("read", "shadow", path));
        assert_eq!(Filter::read("errors>1% p99>200ms").wrong(), None);
        assert!(Filter::read("p99>soon").wrong().is_some() && Filter::read("x>1").wrong().is_some());
    }
}
