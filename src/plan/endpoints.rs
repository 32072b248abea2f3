//! Which route takes an endpoint: the file's own table is asked with an example of it.

use std::collections::HashMap;

use http::Method;

use crate::compile::Snapshot;
use crate::inventory::{InventoryReport, LearnedEndpoint};
use crate::message::Fields;
use crate::route::{Facts, Found, NearMiss, RouteId, Segment, normalise_bytes};

/// Says for each endpoint which route takes it, and in which stage that stands. Which host, headers and query its requests had is
/// not known: where no route takes a request without them, it is one that asks for some, if its side has answered.
pub fn find_routes(report: &mut InventoryReport, snapshot: &Snapshot, stage: &dyn Fn(RouteId) -> Option<&'static str>) {
    let particular = Particular::of(snapshot);
    for endpoint in &mut report.endpoints {
        let by_table = found(snapshot, &endpoint.method, &endpoint.example).map(|found| found.route);
        let Some(id) = by_table.or_else(|| particular.of_endpoint(endpoint, snapshot, stage)) else { continue };
        let Some(route) = snapshot.routes.get(id.index()) else { continue };
        endpoint.route = Some(route.name.to_string());
        endpoint.stage = Some(stage(id).unwrap_or(route.policy.dial.stage.as_str()).to_owned());
    }
}

/// Routes that ask for a host, a header, a cookie or a query value, by the first segment of their paths; `None`: a parameter.
struct Particular<'a>(HashMap<Option<&'a str>, Vec<RouteId>>);

impl<'a> Particular<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut routes = HashMap::<_, Vec<RouteId>>::new();
        for (route, id) in snapshot.routes.iter().zip(0_u32..) {
            let rule = &route.rule;
            if rule.host.takes("") && rule.conditions.is_empty() {
                continue;
            }
            for path in &rule.paths {
                let first = match path.segments().first() {
                    Some(Segment::Literal(word)) => Some(&**word),
                    _ => None,
                };
                routes.entry(first).or_default().push(RouteId(id));
            }
        }
        Self(routes)
    }

    fn of_endpoint(
        &self,
        endpoint: &LearnedEndpoint,
        snapshot: &Snapshot,
        stage: &dyn Fn(RouteId) -> Option<&'static str>,
    ) -> Option<RouteId> {
        if self.0.is_empty() {
            return None;
        }
        let method = Method::from_bytes(endpoint.method.as_bytes()).ok()?;
        let normal = normalise_bytes(endpoint.example.as_bytes(), &snapshot.matching).ok()?;
        let path = normal.as_str();
        let first = path.trim_start_matches('/').split('/').next();
        let near = [first, None].into_iter().filter_map(|first| self.0.get(&first)).flatten().copied();
        // At the monolith, the side that answered does not tell a route from none.
        let has_answered = |id: RouteId| {
            let written = || snapshot.routes.get(id.index()).map(|route| route.policy.dial.stage.as_str());
            let is_monolith = matches!(stage(id).or_else(written), Some("monolith" | "shadow"));
            is_monolith || endpoint.monolith < endpoint.requests
        };
        let takes = |id: &RouteId| {
            snapshot.routes.get(id.index()).is_some_and(|route| {
                route.rule.takes_method(&method)
                    && route.rule.paths.iter().any(|template| template.takes(path, snapshot.matching))
            })
        };
        near.filter(takes).find(|id| has_answered(*id))
    }
}

/// The route that takes a request of this method and path, without host, headers and query.
pub(super) fn found(snapshot: &Snapshot, method: &str, path: &str) -> Option<Found> {
    let asked = Asked::of(method)?;
    let normal = normalise_bytes(path.as_bytes(), &snapshot.matching).ok()?;
    snapshot.table.select(&asked.facts(normal.as_str()), &normal).ok()?
}

/// Routes that another spelling of the path would reach.
pub(super) fn near(snapshot: &Snapshot, method: &str, path: &str) -> Vec<NearMiss> {
    let Some(asked) = Asked::of(method) else { return Vec::new() };
    let Ok(normal) = normalise_bytes(path.as_bytes(), &snapshot.matching) else { return Vec::new() };
    snapshot.table.near_misses(&asked.facts(normal.as_str()), None)
}

struct Asked {
    method: Method,
    headers: Fields,
}

impl Asked {
    fn of(method: &str) -> Option<Self> {
        Some(Self { method: Method::from_bytes(method.as_bytes()).ok()?, headers: Fields::new() })
    }

    fn facts<'a>(&'a self, path: &'a str) -> Facts<'a> {
        Facts {
            method: &self.method,
            preflight: None,
            host: "",
            path,
            query: None,
            headers: &self.headers,
            client: None,
            upgrade: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Observation, Tree};

    #[test]
    fn a_route_of_a_host_takes_what_its_service_answered() {
        let text = "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.shop]\nurl = \"http://127.0.0.1:2\"\n\
                    [routes.shop]\nhost = \"shop.example\"\npath = \"/shop/{*rest}\"\nservice = \"shop\"\nstage = \"migrated\"\n\
                    [routes.beta]\nheaders = { x-beta = \"1\" }\npath = \"/{id}\"\nservice = \"shop\"\nstage = \"monolith\"\n";
        let snapshot = crate::compile::compile(text, "routes.toml", &|_| None).snapshot.expect("a good file");
        for (path, monolith, route) in [
            ("/shop/items", false, Some("shop")),
            // By another host, for example.
            ("/shop/items", true, None),
            ("/page", true, Some("beta")),
            ("/other/page", false, None),
        ] {
            let mut tree = Tree::default();
            for client in 0..9 {
                let seen = Observation {
                    method: "GET",
                    path,
                    status: 200,
                    client,
                    weight: 1,
                    minute: 1,
                    monolith,
                    ..Observation::default()
                };
                tree.add(&seen);
            }
            let mut report = InventoryReport::of(&tree);
            find_routes(&mut report, &snapshot, &|_| None);
            assert_eq!(report.endpoints[0].route.as_deref(), route, "{path} {monolith}");
        }
    }
}
