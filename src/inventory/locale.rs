//! Tells languages, with a region or a script, from words.

use super::words;

/// `de`, `de-CH`, `zh_Hans`: a language, with a region or a script. `None`: it is none, or may be a word of English.
#[must_use]
pub fn locale(segment: &str) -> Option<Locale> {
    let (language, region) = match segment.split_once(['-', '_']) {
        Some((language, region)) => (language, Some(region)),
        None => (segment, None),
    };
    if language.len() != 2 || !language.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    match region {
        Some(region) if !(matches!(region.len(), 2 | 4) && region.bytes().all(|byte| byte.is_ascii_alphabetic())) => {
            None
        }
        _ if words::is_language(language) => Some(Locale::Sure),
        Some(region) if region.bytes().all(|byte| byte.is_ascii_uppercase()) => Some(Locale::Sure),
        Some(_) => None,
        None => Some(Locale::Possible),
    }
}

/// How sure a segment is a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locale {
    Sure,
    /// Two letters, which a region may have in the place of a language (`/us/`).
    Possible,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_from_words() {
        for (segment, expected) in [
            ("DE", None),
            ("de", Some(Locale::Sure)),
            ("de-CH", Some(Locale::Sure)),
            ("zh_Hans", Some(Locale::Sure)),
            ("us", Some(Locale::Possible)),
            ("is-GB", Some(Locale::Sure)),
            ("is-good", None),
            ("deal", None),
        ] {
            assert_eq!(locale(segment), expected, "{segment}");
        }
    }
}
