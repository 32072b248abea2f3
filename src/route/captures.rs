//! The values of a template's parameters, read from the path when asked for: nothing is kept or copied.

use super::segment::Segment;
use super::template::Template;

/// A template beside a normalised path that it takes.
#[derive(Debug, Clone, Copy)]
pub struct Captures<'a> {
    template: &'a Template,
    path: &'a str,
}

impl Template {
    /// The values of the parameters in a normalised path that the template takes.
    #[must_use]
    pub const fn captures<'a>(&'a self, path: &'a str) -> Captures<'a> {
        Captures { template: self, path }
    }
}

impl<'a> Captures<'a> {
    /// The value as it is encoded in the path; the catch-all's without its leading slash.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let mut rest = Some(self.path.strip_prefix('/')?);
        for segment in self.template.segments() {
            let here = rest.unwrap_or_default();
            let (part, below) = here.split_once('/').map_or((here, None), |(part, below)| (part, Some(below)));
            match segment {
                Segment::Rest(own) => return (**own == *name).then_some(here),
                Segment::Parameter(own) if *own.name == *name => {
                    return part.get(own.prefix.len()..part.len().checked_sub(own.suffix.len())?);
                }
                _ => rest = below,
            }
        }
        None
    }

    /// Whether the template ends with a catch-all that took no segment at all, not even an empty one.
    pub(super) fn rest_is_missing(&self) -> bool {
        let segments = self.template.segments();
        matches!(segments.last(), Some(Segment::Rest(_)))
            && self.path.bytes().filter(|byte| *byte == b'/').count() < segments.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_encoding() {
        let table = [
            ("/u/{id}", "/u/a%2Fb", "id", Some("a%2Fb")),
            ("/u/{id}.json", "/u/5.json", "id", Some("5")),
            ("/v{n}/{id}", "/v2/x", "n", Some("2")),
            ("/v{n}/{id}", "/v2/x/", "id", Some("x")),
            ("/u/{*rest}", "/u/a/b/", "rest", Some("a/b/")),
            ("/u/{*rest}", "/u/", "rest", Some("")),
            ("/u/{*rest}", "/u", "rest", Some("")),
            ("/u/{id}", "/u/5", "other", None),
        ];
        for (template, path, name, expected) in table {
            let template = Template::parse(template).expect("the template is right");
            assert_eq!(template.captures(path).get(name), expected, "{template} {path}");
        }
    }
}
