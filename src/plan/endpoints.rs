//! Which route takes an endpoint: the file's own table is asked with an example of it.

use http::Method;

use crate::compile::Snapshot;
use crate::inventory::InventoryReport;
use crate::message::Fields;
use crate::route::{Facts, Found, NearMiss, RouteId, normalise_bytes};

/// Says for each endpoint which route takes it, and in which stage that stands. A route that asks for more than method and path
/// takes no example.
pub fn find_routes(report: &mut InventoryReport, snapshot: &Snapshot, stage: &dyn Fn(RouteId) -> Option<&'static str>) {
    for endpoint in &mut report.endpoints {
        let Some(found) = found(snapshot, &endpoint.method, &endpoint.example) else { continue };
        let Some(route) = snapshot.routes.get(found.route.index()) else { continue };
        endpoint.route = Some(route.name.to_string());
        endpoint.stage = Some(stage(found.route).unwrap_or(route.policy.dial.stage.as_str()).to_owned());
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
