//! Warns of a route with a path that ends openly, all of which longer paths of other routes take together: `/a`, `/a/` and
//! `/a/{x}/{*rest}` leave nothing to `/a/{*rest}`.

use std::sync::Arc;

use http::Method;

use super::super::draft::Draft;
use super::overtaken::{self, conditions, covers, ends_open};
use super::reach::{report, takes};
use crate::compile::Route;
use crate::config::{self, NamedEntry};
use crate::route::{Parameter, Segment, Template};

/// Pairs of routes that are looked at: the work stays bounded in a file of thousands.
const MOST_PAIRS: usize = 1_000_000;

pub(super) fn check(
    written: &[&NamedEntry<config::Route>],
    routes: &[Arc<Route>],
    ignore_trailing_slash: bool,
    draft: &mut Draft<'_>,
) {
    let mut left = MOST_PAIRS;
    for (at, route) in routes.iter().enumerate().filter(|(_, route)| route.rule.paths.iter().all(ends_open)) {
        let Some(pairs) = left.checked_sub(routes.len()) else { return };
        left = pairs;
        if let Some(others) = covered(at, route, routes, ignore_trailing_slash) {
            let others: Vec<_> = others.iter().map(|other| written[*other]).collect();
            let help = format!("remove `{}`, or one of the longer paths", route.name);
            report(&others, written[at], &help, draft);
        }
    }
}

/// The routes that take all that this one would.
fn covered(at: usize, route: &Route, routes: &[Arc<Route>], ignore_trailing_slash: bool) -> Option<Vec<usize>> {
    let named: Vec<Option<Method>> = match &route.rule.methods {
        None => vec![None],
        // No list has all methods.
        Some(methods) if methods.is_all() => return None,
        Some(methods) => methods.names().into_iter().map(|name| name.parse().ok()).collect(),
    };
    let mut others = Vec::new();
    for method in named {
        for path in &route.rule.paths {
            let longer = longer(at, route, path, method.as_ref(), routes);
            if longer.is_empty() {
                return None;
            }
            let deepest = longer.iter().map(|(_, segments)| segments.len()).max().unwrap_or(0);
            Cover { longer: &longer, deepest, ignore_trailing_slash }.of(path.segments(), &mut others).then_some(())?;
        }
    }
    others.sort_unstable();
    others.dedup();
    Some(others)
}

/// Paths of routes without conditions, of the same host and with this method, which come before `path`.
fn longer<'a>(
    at: usize,
    route: &Route,
    path: &Template,
    method: Option<&Method>,
    routes: &'a [Arc<Route>],
) -> Vec<(usize, &'a [Segment])> {
    let own = path.segments();
    let others = routes.iter().enumerate().filter(|(other, found)| {
        *other != at && found.rule.host == route.rule.host && conditions(&found.rule) == 0 && takes(&found.rule, method)
    });
    let paths = others.flat_map(|(other, found)| found.rule.paths.iter().map(move |path| (other, path.segments())));
    paths.filter(|(_, theirs)| *theirs != own && covers(own, theirs)).collect()
}

struct Cover<'a> {
    longer: &'a [(usize, &'a [Segment])],
    /// Segments of the longest of them: nothing below is taken apart further.
    deepest: usize,
    ignore_trailing_slash: bool,
}

impl Cover<'_> {
    /// Whether each path that these segments take is taken by one of the longer ones, or by several together.
    fn of(&self, segments: &[Segment], others: &mut Vec<usize>) -> bool {
        if let Some((other, _)) = self.longer.iter().find(|(_, theirs)| takes_all(theirs, segments)) {
            others.push(*other);
            return true;
        }
        let Some((Segment::Rest(_), before)) = segments.split_last() else { return false };
        if segments.len() > self.deepest {
            return false;
        }
        let with = |more: &[Segment]| [before, more].concat();
        let any = Segment::Parameter(Parameter { name: "".into(), prefix: "".into(), suffix: "".into() });
        // `/a/{*rest}` is `/a`, `/a/` and `/a/{x}/{*rest}`; `/{*rest}` is `/` and `/{x}/{*rest}`.
        let bare = before.is_empty() || self.of(before, others);
        let slash = (self.ignore_trailing_slash && !before.is_empty())
            || bare && self.of(&with(&[Segment::Literal("".into())]), others);
        bare && slash && self.of(&with(&[any, Segment::Rest("".into())]), others)
    }
}

/// Whether the first takes whatever the second does; parameters' names do not count.
fn takes_all(theirs: &[Segment], segments: &[Segment]) -> bool {
    match (theirs.split_first(), segments.split_first()) {
        (None, None) | (Some((Segment::Rest(_), _)), _) => true,
        (Some((one, theirs)), Some((other, segments))) => overtaken::takes(one, other) && takes_all(theirs, segments),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use crate::compile::compile;

    /// The messages about routes out of reach, which name the routes in front of them.
    fn said(routes: &[(&str, &str)], more: &str) -> Vec<String> {
        let mut file =
            format!("{more}[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.a]\nurl = \"http://127.0.0.1:2\"\n");
        for (name, keys) in routes {
            let _ = write!(file, "[routes.{name}]\nservice = \"a\"\nstage = \"retired\"\n{keys}\n");
        }
        let compiled = compile(&file, "routes.toml", &|_| None);
        let found = compiled.diagnostics.iter().filter(|found| found.code.as_str() == "unreachable-route");
        found.map(|found| found.message.clone()).collect()
    }

    #[test]
    fn a_route_that_longer_paths_take_together_is_said() {
        let whole = [
            ("all", "path = \"/a/{*rest}\""),
            ("bare", "path = [\"/a\", \"/a/\"]"),
            ("below", "path = \"/a/{x}/{*more}\""),
        ];
        let expected = ["no request reaches `all`: `bare` and `below` take them all"];
        assert_eq!(said(&whole, ""), expected);
        // With conditions as well: the path comes first.
        let mut conditional = whole;
        conditional[0].1 = "path = \"/a/{*rest}\"\nheaders = { x = \"1\" }";
        assert_eq!(said(&conditional, ""), expected);
        let mut one_less = whole;
        one_less[1].1 = "path = \"/a\"";
        assert_eq!(said(&one_less, ""), Vec::<String>::new());
        assert_eq!(said(&one_less, "[matching]\ntrailing_slash = \"ignore\"\n"), expected);
        // Two levels deep, and method by method.
        let deep = [
            ("all", "path = \"/a/{*rest}\"\nmethods = [\"GET\", \"POST\"]"),
            ("bare", "path = [\"/a\", \"/a/\"]\nmethods = [\"GET\", \"POST\", \"PUT\"]"),
            ("one", "path = [\"/a/{x}\", \"/a/{x}/\"]"),
            ("reads", "path = \"/a/{x}/{y}/{*more}\"\nmethods = [\"GET\"]"),
            ("writes", "path = \"/a/{x}/{y}/{*more}\"\nmethods = [\"POST\"]"),
        ];
        // A route that names no method takes no others': `one` leaves nothing of a GET, but is not looked at for it.
        assert_eq!(said(&deep, ""), Vec::<String>::new());
        let mut named = deep;
        named[2].1 = "path = [\"/a/{x}\", \"/a/{x}/\"]\nmethods = [\"GET\", \"POST\"]";
        assert_eq!(said(&named, ""), ["no request reaches `all`: `bare`, `one`, `reads` and `writes` take them all"]);
        let mut posts_left = named;
        posts_left[4].1 = "path = \"/a/{x}/{y}/{*more}\"\nmethods = [\"PUT\"]";
        assert_eq!(said(&posts_left, ""), Vec::<String>::new());
        // A condition or another host leaves some.
        let mut asks = whole;
        asks[2].1 = "path = \"/a/{x}/{*more}\"\nheaders = { x = \"1\" }";
        assert_eq!(said(&asks, ""), Vec::<String>::new());
        let mut elsewhere = whole;
        elsewhere[2].1 = "path = \"/a/{x}/{*more}\"\nhost = \"b.example\"";
        assert_eq!(said(&elsewhere, ""), Vec::<String>::new());
    }
}
