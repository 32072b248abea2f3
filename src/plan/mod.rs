//! What would happen, and what to do next: a file tried on what was learned from traffic, before it is in force.

mod endpoints;
mod next;

pub use endpoints::find_routes;
pub use next::{NextStep, StandingRoute, what_next};
