//! The way back of a rewrite: from a path that a service names to the one under which a client reaches it.

use super::captures::Captures;
use super::matching::Matching;
use super::rewrite::{PathPiece, PathRewrite};
use super::segment::Segment;
use super::template::Template;

/// Longer paths are not looked at: what a service says must not cost more than it does.
const LONGEST: usize = 4096;

impl PathRewrite {
    /// The path that this rewrite, under this template, turns into `path`; `None` if there is none. A parameter of the
    /// template that the rewrite leaves out has the value it has in the request, `around`, where one is given.
    #[must_use]
    pub fn reverse(
        &self,
        template: &Template,
        path: &str,
        around: Option<&Captures<'_>>,
        matching: Matching,
    ) -> Option<String> {
        if path.len() > LONGEST {
            return None;
        }
        let rest = template.segments().last().and_then(|last| match last {
            Segment::Rest(name) => Some(&**name),
            _ => None,
        });
        let mut values = Vec::new();
        let whole = read(&self.pieces, path, rest, &mut values).then_some(values);
        // A catch-all that took nothing leaves no slash of its own behind.
        let tried = [whole.map(|values| (values, true)), self.without_rest(path, rest).map(|values| (values, false))];
        tried.into_iter().flatten().find_map(|(values, rest_is_there)| {
            let original = write(template, &values, rest_is_there, around)?;
            let captures = template.captures(&original);
            (template.takes(&original, matching) && self.expand(&captures) == path).then_some(original)
        })
    }

    /// The length of what is the same in every path that it makes.
    #[must_use]
    pub fn literal_bytes(&self) -> usize {
        let literal = |piece: &PathPiece| if let PathPiece::Literal(text) = piece { text.len() } else { 0 };
        self.pieces.iter().map(literal).sum()
    }

    fn without_rest<'a>(&'a self, path: &'a str, rest: Option<&str>) -> Option<Vec<(&'a str, &'a str)>> {
        let at = self
            .pieces
            .iter()
            .position(|piece| matches!(piece, PathPiece::Parameter(name) if Some(&**name) == rest))?;
        let mut pieces = self.pieces.clone();
        pieces.remove(at);
        if let Some(PathPiece::Literal(before)) = at.checked_sub(1).and_then(|before| pieces.get_mut(before))
            && (at > 1 || before.len() > 1)
        {
            *before = before.strip_suffix('/').unwrap_or(before).into();
        }
        let mut values = Vec::new();
        let found = read(&pieces, path, rest, &mut values);
        // The names live in the pieces of this rewrite, not in the copy.
        found.then(|| values.into_iter().filter_map(|(name, value)| Some((self.own(name)?, value))).collect())
    }

    fn own(&self, name: &str) -> Option<&str> {
        self.pieces.iter().find_map(|piece| match piece {
            PathPiece::Parameter(own) if **own == *name => Some(&**own),
            _ => None,
        })
    }
}

/// Reads the parameters' values out of a path; the longest value that fits comes first.
fn read<'a, 'b>(
    pieces: &'b [PathPiece],
    path: &'a str,
    rest: Option<&str>,
    values: &mut Vec<(&'b str, &'a str)>,
) -> bool {
    let Some((piece, after)) = pieces.split_first() else { return path.is_empty() };
    match piece {
        PathPiece::Literal(text) => path.strip_prefix(&**text).is_some_and(|path| read(after, path, rest, values)),
        PathPiece::Parameter(name) => {
            let is_rest = Some(&**name) == rest;
            let end = if is_rest { path.len() } else { path.find('/').unwrap_or(path.len()) };
            let shortest = usize::from(!is_rest);
            let given = values.iter().find(|(known, _)| *known == &**name).map(|(_, value)| *value);
            (shortest..=end).rev().filter(|end| path.is_char_boundary(*end)).any(|end| {
                let (value, path) = path.split_at(end);
                if given.is_some_and(|given| given != value) {
                    return false;
                }
                values.push((name, value));
                let fits = read(after, path, rest, values);
                if !fits {
                    values.pop();
                }
                fits
            })
        }
    }
}

fn write(
    template: &Template,
    values: &[(&str, &str)],
    rest_is_there: bool,
    around: Option<&Captures<'_>>,
) -> Option<String> {
    let value = |name: &str| {
        let read = values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        read.or_else(|| around.and_then(|captures| captures.get(name)))
    };
    let mut path = String::with_capacity(64);
    for segment in template.segments() {
        match segment {
            Segment::Literal(text) => {
                path.push('/');
                path.push_str(text);
            }
            Segment::Parameter(own) => {
                path.push('/');
                path.push_str(&own.prefix);
                path.push_str(value(&own.name)?);
                path.push_str(&own.suffix);
            }
            Segment::Rest(_) if !rest_is_there => {}
            Segment::Rest(name) => {
                path.push('/');
                path.push_str(value(name)?);
            }
        }
    }
    Some(if path.is_empty() { "/".to_owned() } else { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reversed(from: &str, to: &str, path: &str, request: Option<&str>) -> Option<String> {
        let template = Template::parse(from).expect("the template is right");
        let rewrite = PathRewrite::parse(to, std::slice::from_ref(&template)).expect("the rewrite is right");
        let around = request.map(|request| template.captures(request));
        rewrite.reverse(&template, path, around.as_ref(), Matching::default())
    }

    #[test]
    fn a_path_of_the_service_goes_back_to_the_one_that_becomes_it() {
        let table = [
            ("/api/users/{id}", "/v2/people/{id}", "/v2/people/7", Some("/api/users/7")),
            ("/api/users/{id}", "/v2/people/{id}", "/v2/people/a%2Fb", Some("/api/users/a%2Fb")),
            ("/api/users/{id}", "/v2/people/{id}", "/v2/people/7/x", None),
            ("/api/users/{id}", "/v2/people/{id}", "/v2/people/", None),
            ("/api/users/{id}", "/v2/people/{id}", "/login", None),
            ("/u/{id}.json", "/{id}", "/5", Some("/u/5.json")),
            ("/u/{*rest}", "/v2/{*rest}", "/v2/a/b/", Some("/u/a/b/")),
            ("/u/{*rest}", "/v2/{*rest}", "/v2/", Some("/u/")),
            ("/u/{*rest}", "/v2/{*rest}", "/v2", Some("/u")),
            ("/u/{*rest}", "/v2/{rest}/x", "/v2/a/x", Some("/u/a")),
            ("/u/{*rest}", "/v2/{rest}/x", "/v2/x", Some("/u")),
            ("/u/{*rest}", "/{rest}", "/", Some("/u/")),
            ("/p/{id}/{*rest}", "/v2/{id}/{*rest}", "/v2/7", Some("/p/7")),
            ("/p/{id}/{*rest}", "/v2/{id}/{*rest}", "/v2/7/", Some("/p/7/")),
            ("/p/{id}/{*rest}", "/{id}/{*rest}", "/7", Some("/p/7")),
            ("/{*rest}", "/v2/{rest}", "/v2/", Some("/")),
            // Nothing becomes `/v2` there: `/` becomes `/v2/`.
            ("/{*rest}", "/v2/{rest}", "/v2", None),
            ("/a/{x}/b/{y}", "/{y}-{x}", "/1-2", Some("/a/2/b/1")),
            ("/a/{x}", "/{x}/{x}", "/7/7", Some("/a/7")),
            ("/a/{x}", "/{x}/{x}", "/7/8", None),
            ("/a/{x}", "/fixed", "/fixed", None),
            ("/a", "/fixed", "/fixed", Some("/a")),
        ];
        for (from, to, path, expected) in table {
            assert_eq!(reversed(from, to, path, None).as_deref(), expected, "{from} {to} {path}");
        }
    }

    #[test]
    fn what_the_rewrite_leaves_out_stays_as_in_the_request() {
        let request = Some("/acme/users/7");
        assert_eq!(
            reversed("/{tenant}/users/{id}", "/users/{id}", "/users/8", request).as_deref(),
            Some("/acme/users/8")
        );
        assert_eq!(reversed("/{tenant}/users/{id}", "/users/{id}", "/users/8", None), None);
    }

    proptest::proptest! {
        #[test]
        fn forth_and_back_is_where_it_began(a in "[a-z0-9.~-]{1,6}", b in "[a-z0-9/]{0,8}") {
            let from = Template::parse("/api/{a}/x/{*b}").expect("a template");
            let rewrite = PathRewrite::parse("/v2/{a}/y-{a}/{b}", std::slice::from_ref(&from)).expect("a rewrite");
            let path = format!("/api/{a}/x/{b}");
            let sent = rewrite.expand(&from.captures(&path));
            let back = rewrite.reverse(&from, &sent, None, Matching::default());
            proptest::prop_assert_eq!(back, Some(path));
        }
    }
}
