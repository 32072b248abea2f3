//! Words that files name in paths: recorded paths keep them, where every value is replaced.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use crate::inventory::masked_value;
use crate::route::{Segment, Template};

/// Words, `me` of `/users/me`, and what stands around parameters, `order-` of `/order-{id}`. In lower case, since a file may match so.
#[derive(Debug, Default, Clone)]
pub struct PathWords {
    words: HashSet<Box<str>>,
    affixes: BTreeSet<(Box<str>, Box<str>)>,
}

/// Under which a set of names has a word or an affix.
const AS_NAME: &str = "path:";

impl PathWords {
    pub(super) fn add(&mut self, template: &Template) {
        for name in template.segments().iter().filter_map(Self::name_of) {
            self.take(&name);
        }
    }

    fn take(&mut self, name: &str) {
        let Some(name) = name.strip_prefix(AS_NAME) else { return };
        if let Some((prefix, suffix)) = name.split_once("{}") {
            self.affixes.insert((prefix.into(), suffix.into()));
        } else {
            self.words.insert(name.into());
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.words.extend(other.words.iter().cloned());
        self.affixes.extend(other.affixes.iter().cloned());
    }

    /// Of a set of names.
    pub(super) fn of_names(names: &[String]) -> Self {
        let mut all = Self::default();
        for name in names {
            all.take(name);
        }
        all
    }

    /// `path:me`, `path:order-{}`.
    pub(super) fn in_words(&self) -> impl Iterator<Item = String> {
        let words = self.words.iter().map(|word| format!("{AS_NAME}{word}"));
        words.chain(self.affixes.iter().map(|(prefix, suffix)| format!("{AS_NAME}{prefix}{{}}{suffix}")))
    }

    /// The value at one place of a path as far as it is kept: whole, or between what stands around a parameter.
    #[must_use]
    pub fn kept<'a>(&self, segment: &'a str) -> Option<Cow<'a, str>> {
        let folded = segment.to_ascii_lowercase();
        if self.words.contains(&*folded) {
            return Some(Cow::Borrowed(segment));
        }
        let around = self.affixes.iter().filter(|(prefix, suffix)| {
            folded.len() > prefix.len() + suffix.len() && folded.starts_with(&**prefix) && folded.ends_with(&**suffix)
        });
        let (prefix, suffix) = around.max_by_key(|(prefix, suffix)| prefix.len() + suffix.len())?;
        let (start, end) = (prefix.len(), segment.len() - suffix.len());
        let value = masked_value(segment.get(start..end)?);
        Some(Cow::Owned(format!("{}{value}{}", &segment[..start], &segment[end..])))
    }

    /// The name of a template's segment in a set of names.
    #[must_use]
    pub fn name_of(segment: &Segment) -> Option<String> {
        match segment {
            Segment::Literal(word) => Some(format!("{AS_NAME}{}", word.to_ascii_lowercase())),
            Segment::Parameter(parameter) if !(parameter.prefix.is_empty() && parameter.suffix.is_empty()) => {
                let (prefix, suffix) = (parameter.prefix.to_ascii_lowercase(), parameter.suffix.to_ascii_lowercase());
                Some(format!("{AS_NAME}{prefix}{{}}{suffix}"))
            }
            Segment::Parameter(_) | Segment::Rest(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_names_is_kept_and_every_value_is_replaced() {
        let mut words = PathWords::default();
        for template in ["/users/Me", "/orders/order-{id}.json", "/files/{*rest}"] {
            words.add(&Template::parse(template).expect("a template"));
        }
        let mut names: Vec<String> = words.in_words().collect();
        names.sort_unstable();
        let expected = ["path:files", "path:me", "path:order-{}.json", "path:orders", "path:users"];
        assert_eq!(names, expected);
        let again = PathWords::of_names(&names);
        for words in [&words, &again] {
            for (segment, kept) in [
                ("me", Some("me")),
                ("ME", Some("ME")),
                ("mia", None),
                ("order-8211.json", Some("order-42.json")),
                ("Order-peter.json", Some("Order-example.json")),
                ("order-.json", None),
                ("order-\u{e4}.json", Some("order-a1b2c3d4e5.json")),
            ] {
                assert_eq!(words.kept(segment).as_deref(), kept, "{segment}");
            }
        }
    }
}
