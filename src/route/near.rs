//! Near misses of a path: what another spelling of the request would reach. It helps an operator see why the request did not.

use super::facts::Facts;
use super::matching::Matching;
use super::precedence::compare_paths;
use super::table::{Found, RouteTable};
use super::{RouteId, linear};

/// A route that the request would reach under another path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    pub route: RouteId,
    /// The path that reaches it.
    pub path: String,
    pub why: Miss,
}

/// In what the request's path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// It ends in a slash that the route's does not have.
    TrailingSlash,
    /// It lacks the slash in which the route's ends.
    NoTrailingSlash,
    Case,
    /// `;x` behind a segment, which some applications do not see.
    PathParameter,
    /// The application's own front controller stands in it: `/index.php/posts`.
    FrontController,
    /// The path is in the query: `?rest_route=/wp/v2/posts`.
    RestRoute,
}

impl Miss {
    /// Stands behind the route's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TrailingSlash => {
                "its path has no slash at the end (`[matching] trailing_slash = \"ignore\"` takes both)"
            }
            Self::NoTrailingSlash => "its path ends in a slash (`[matching] trailing_slash = \"ignore\"` takes both)",
            Self::Case => {
                "its path is written with other letters' case (`[matching] case = \"insensitive\"` takes both)"
            }
            Self::PathParameter => {
                "without the `;…` behind a segment; an application may not see that part, the routes do"
            }
            Self::FrontController => "without `/index.php`, by which the application can be asked for the same",
            Self::RestRoute => "the application reads its path from the query `rest_route`; routes see the path alone",
        }
    }
}

impl RouteTable {
    /// Other spellings of the path that reach a route other than `found`. Looks at every route; for people, not for traffic.
    #[must_use]
    pub fn near_misses(&self, facts: &Facts<'_>, found: Option<Found>) -> Vec<NearMiss> {
        let mut near: Vec<NearMiss> = Vec::new();
        // A less specific route than the one that has the request was not meant.
        let better = |other: Found| {
            found.is_none_or(|found| {
                found.route != other.route
                    && compare_paths(self.template(other), self.template(found), *self.matching()).is_gt()
            })
        };
        let mut add = |found: Found, path: String, why: Miss| {
            if better(found) && near.iter().all(|near| near.route != found.route) {
                near.push(NearMiss { route: found.route, path, why });
            }
        };
        let others = spellings(facts);
        for (path, why) in &others {
            if let Some(found) = self.find(&Facts { path, ..*facts }) {
                add(found, path.clone(), *why);
            }
        }
        let folded = Matching { case_insensitive: true, ..*self.matching() };
        for path in std::iter::once(facts.path).chain(others.iter().map(|(path, _)| path.as_str())) {
            if let Some(found) = linear(self.rules(), &Facts { path, ..*facts }, folded) {
                add(found, self.template(found).as_str().to_owned(), Miss::Case);
            }
        }
        near
    }
}

fn spellings(facts: &Facts<'_>) -> Vec<(String, Miss)> {
    let path = facts.path;
    let mut all: Vec<(String, Miss)> = Vec::new();
    match path.strip_suffix('/') {
        Some("") => {}
        Some(bare) => all.push((bare.to_owned(), Miss::TrailingSlash)),
        None => all.push((format!("{path}/"), Miss::NoTrailingSlash)),
    }
    if path.contains(';') {
        let bare: Vec<_> = path.split('/').map(|segment| segment.split(';').next().unwrap_or("")).collect();
        all.push((bare.join("/"), Miss::PathParameter));
    }
    if let Some((before, behind)) = path.split_once("/index.php")
        && (behind.is_empty() || behind.starts_with('/'))
    {
        let behind = if before.is_empty() && behind.is_empty() { "/" } else { behind };
        all.push((format!("{before}{behind}"), Miss::FrontController));
    }
    if let Some(route) = facts.query_value("rest_route").filter(|route| route.starts_with('/')) {
        all.push((format!("/wp-json{route}"), Miss::RestRoute));
        all.push((route.into_owned(), Miss::RestRoute));
    }
    // Two things may be different at once: `/index.php/posts/`. The slash is then the smaller of them.
    let slashed = |(path, why): &(String, Miss)| {
        let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
        (!other.is_empty() && !matches!(why, Miss::TrailingSlash | Miss::NoTrailingSlash)).then_some((other, *why))
    };
    let more: Vec<_> = all.iter().filter_map(slashed).collect();
    all.extend(more);
    all
}
