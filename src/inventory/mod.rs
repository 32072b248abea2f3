//! Learns from traffic which endpoints there are: a method and a path template each, with what was counted (pure).
//!
//! A tree of segments counts exchanges. A segment that no program has in its routes (a number, a uuid) is a value at
//! once; words below one place are decided together, by how many there are, how many were seen once, and what follows
//! them. Learned templates never become metric labels.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float casts saturate; hashes are cut on purpose"
)]

mod callers;
mod catch_all;
mod counts;
mod credit;
mod days;
mod decide;
mod exchange;
mod given;
mod import;
mod kept;
mod list;
mod locale;
mod log_line;
mod masked;
mod names;
mod node;
mod proven;
mod report;
mod resemble;
mod settle;
mod shape;
mod sketch;
mod suggest;
#[cfg(test)]
mod tests;
mod tree;
mod unproven;
mod values;
mod words;

pub use callers::OtherAgents;
pub use counts::{MethodCount, MethodId};
pub use exchange::Observation;
pub use import::{
    Imported, ImportedCase, ImportedRoute, ImportedService, ImportedSource, IncludedFile, Includes, ListFormat,
    NotRead, SkippedLine, import,
};
pub use kept::Unreadable;
pub use list::{LEAST, Listed, ListedParameter};
pub use log_line::{LogLine, read as read_log_line};
pub use masked::{masked_value, may_stand_for, unmasked};
pub use names::{route_name, unique_route_name};
pub use report::{CallingAgent, Described, InventoryReport, LearnedEndpoint, NOT_SURE_YET, Unknown, about, rfc3339};
pub use sketch::Sketch;
pub use suggest::{openapi, routes as suggested_routes, routes_file};
pub use tree::{LearnedTotals, Tree, TreeBounds};
pub use unproven::redirect_target;
pub use values::hash;
