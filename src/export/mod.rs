//! Writes the routes in force as another proxy's configuration: the way out, when all is migrated.
//!
//! A part that a target cannot do is never left out silently: it is listed, and stands as a comment where the target has comments.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod asked;
mod envoy;
mod fallback;
mod forgeable;
mod haproxy;
mod httproute;
mod left_out;
mod location;
mod nginx;
mod not_exported;
mod pattern;
mod rules;

#[cfg(test)]
mod tests;

use crate::compile::Snapshot;
use crate::migration::Stage;

pub use not_exported::NotExported;

/// The program whose configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportTarget {
    Nginx,
    Haproxy,
    Envoy,
    HttpRoute,
}

impl ExportTarget {
    /// The name under which the file is written.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
            Self::Envoy => "envoy.json",
            Self::HttpRoute => "httproute.json",
        }
    }
}

/// A written configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub text: String,
    /// The parts that the target does not do; empty: it routes as multilith does.
    pub left_out: Vec<NotExported>,
    /// Differences that every file for this target has.
    pub notes: &'static [&'static str],
}

/// Routes whose migration is not finished: shadow, canary and split. They go out only when that is wanted.
#[must_use]
pub fn unfinished(snapshot: &Snapshot) -> Vec<(&str, Stage)> {
    let stage = |route: &crate::compile::Route| route.policy.dial.stage;
    let routes =
        snapshot.routes.iter().filter(|route| matches!(stage(route), Stage::Shadow | Stage::Canary | Stage::Split));
    routes.map(|route| (&*route.name, stage(route))).collect()
}

/// Writes the snapshot for a target.
#[must_use]
pub fn export(snapshot: &Snapshot, target: ExportTarget) -> Exported {
    let left_out = left_out::left_out(snapshot, target);
    let mut rules = rules::ordered(snapshot, target);
    rules.retain(rules::ExportRule::is_written);
    let (text, notes) = match target {
        ExportTarget::Nginx => (nginx::write(snapshot, &rules, &left_out), nginx::NOTES),
        ExportTarget::Haproxy => (haproxy::write(snapshot, &rules, &left_out), haproxy::NOTES),
        ExportTarget::Envoy => (envoy::write(snapshot, &rules), envoy::NOTES),
        ExportTarget::HttpRoute => (httproute::write(snapshot, &rules), httproute::NOTES),
    };
    Exported { text, left_out, notes }
}
