//! The known word that a misspelt one was meant to be.

/// The nearest of `known`, if it is near enough to be worth asking about.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let allowed = match folded.chars().count() {
        0 => return None,
        1..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    known
        .into_iter()
        // A length that differs by more than is allowed cannot be near: this keeps a file of 100 000 names cheap.
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= allowed * 4)
        .map(|candidate| (strsim::osa_distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case, hyphens and underscores are the usual slips and count for nothing.
fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["stage", "service", "weight", "body_limit", "path"];
        let table = [
            ("stgae", Some("stage")),
            ("Stage", Some("stage")),
            ("bodyLimit", Some("body_limit")),
            ("body-limit", Some("body_limit")),
            ("paths", Some("path")),
            ("wieght", Some("weight")),
            ("colour", None),
            ("", None),
        ];
        for (word, expected) in table {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
