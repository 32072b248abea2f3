//! Effects of a new file and next steps: a file tried on what was learned from traffic, before it is in force.

mod cases;
mod difference;
mod endpoints;
mod files;
mod next;
mod paste;
mod replay;
mod report;
mod settings;
mod split;
mod sum;
mod try_out;
mod unrecorded;
mod words;

pub use cases::{RoutingCase, routing_cases};
pub use difference::{DANGERS, DialNow, DialsNow, PlanFlag};
pub use endpoints::find_routes;
pub use next::{AnsweredLately, NextStep, StandingRoute, what_next};
pub use report::{MovedClients, PlanReport, PlanSummary, PlanTraffic, PlannedEndpoint, PlannedRoute, UnchangedRoutes};
pub use settings::PlannedUpstream;
pub use try_out::plan;
pub use unrecorded::Unrecorded;
pub use words::number;
