//! Services that no route names.

use super::super::draft::Draft;
use super::super::upstreams::{Found, Names};
use super::Routes;
use crate::config;
use crate::diagnostic::Code;

/// A service that no route names is often one that a route was meant to name.
pub(in crate::compile) fn report_unused(
    file: &config::File,
    names: &Names<'_>,
    routes: &Routes,
    draft: &mut Draft<'_>,
) {
    let Some(services) = file.services.get() else { return };
    if draft.tables_lost || !routes.complete {
        return;
    }
    for entry in &services.entries {
        let Found::Service(service) = names.find(&entry.name) else { continue };
        if !routes.used.contains(&service.id) {
            draft.say(
                Code::UnusedService,
                entry.key.clone(),
                format!("no route uses the service `{}`", entry.name),
                "not used",
                format!("name it in a route, `service = \"{}\"`, or remove it", entry.name),
            );
        }
    }
}
