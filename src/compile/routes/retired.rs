//! The monolith may be retired only when no route needs it.

use std::sync::Arc;

use super::super::draft::Draft;
use super::super::upstreams::Names;
use crate::compile::Route;
use crate::config::{self, NamedEntry};
use crate::diagnostic::{Code, Diagnostic};
use crate::endpoint::UpstreamId;
use crate::migration::{Policy, Stage};

pub(super) fn check(
    written: &[&NamedEntry<config::Route>],
    routes: &[Arc<Route>],
    names: &Names<'_>,
    draft: &mut Draft<'_>,
) {
    let Some(retired) = &names.monolith_retired else { return };
    for (entry, route) in written.iter().zip(routes) {
        let Some(why) = need(&route.policy) else { continue };
        draft.push(
            Diagnostic::new(
                Code::MonolithStillNeeded,
                format!("the monolith is retired, but `{}` needs it: {why}", entry.name),
            )
            .at(entry.value.stage.span().unwrap_or_else(|| entry.key.clone()))
            .label("needs the monolith")
            .related(retired.clone(), "retired here")
            .help("write `stage = \"retired\"` for the route, or remove `retired = true` from `[monolith]`"),
        );
    }
}

/// Why a route needs the monolith; `None`: it does not.
fn need(policy: &Policy) -> Option<&'static str> {
    match policy.dial.stage {
        Stage::Monolith | Stage::Shadow => Some("it answers the route"),
        Stage::Canary => Some("it answers a part of the clients"),
        Stage::Split if policy.variants.iter().any(|variant| variant.upstream == UpstreamId::MONOLITH) => {
            Some("it is one of the variants")
        }
        Stage::Migrated if policy.fallback.is_some() => Some("it is the fallback"),
        Stage::Migrated if policy.shadow.is_some() => Some("it is sent copies"),
        Stage::Split | Stage::Migrated | Stage::Retired => None,
    }
}
