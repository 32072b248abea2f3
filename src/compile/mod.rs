//! Turns what the file says into what the proxy runs, gathering every mistake.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod address;
mod admin;
mod changes;
mod cookies;
mod draft;
mod events;
mod fleet;
mod inventory;
mod listeners;
mod networks;
mod notify;
mod pages;
mod pattern;
mod redacted;
mod route;
mod routes;
mod secret;
mod server;
mod settings;
mod snapshot;
mod tls;
mod upstreams;
mod url;

#[cfg(test)]
mod tests;

pub use snapshot::{
    AccessLog, Acme, AdminToken, Certificate, EventsSettings, ForceRule, InventorySettings, Limits, LogFormat,
    LogOutput, NotifyTarget, ProxyProtocol, Role, ServerSettings, Snapshot, TlsSettings, TlsVersion, TracingSettings,
    TrustedUser,
};

pub use crate::route::{Matching, Network, SecretSource, SecretText};
pub use admin::admin_address;
pub use changes::{Changes, altered_keys, has_other_timeouts, is_another};
pub use cookies::{CookieSettings, SameSite};
pub use fleet::{FleetSettings, OwnRegion, SHORTEST_SECRET};
pub use pages::{ErrorPage, Pages};
pub use pattern::takes;
pub use redacted::redacted;
pub use route::{Fault, Route};
pub use routes::is_host;

use std::cell::RefCell;
use std::sync::Arc;

use draft::Draft;

use crate::config;
use crate::diagnostic::{Code, Diagnostics, Sources};
use crate::migration::Dial;

/// The result of compiling a file.
#[derive(Debug)]
pub struct Compiled {
    /// `None` exactly if a diagnostic is an error.
    pub snapshot: Option<Snapshot>,
    /// From the top of the file to its end.
    pub diagnostics: Diagnostics,
}

/// Compiles a file. `env` looks variables of the environment up; nothing else outside the text is read.
#[must_use]
pub fn compile(text: &str, file_name: &str, env: config::Environment<'_>) -> Compiled {
    compile_all(&Arc::new(Sources::one(file_name, text)), env, &|_| None)
}

/// The same for a configuration of several files, with routes in another stage and with another weight than they say: where a
/// gate or a person moved them. A route's findings are those for the stage in force, with its defaults and its rules.
#[must_use]
pub fn compile_all(
    sources: &Arc<Sources>,
    env: config::Environment<'_>,
    dials: &dyn Fn(&str) -> Option<Dial>,
) -> Compiled {
    let asked = RefCell::new(Vec::new());
    let env = |name: &str| {
        let value = env(name)?;
        asked.borrow_mut().push((name.to_owned(), value.clone()));
        Some(value)
    };
    let mut diagnostics = Diagnostics::default();
    diagnostics.extend(sources.found().iter().cloned());
    let mut parsed = config::parse_all(sources, &env, &mut diagnostics);
    routes::put_dials(&mut parsed.file, dials);
    // A table of a file that cannot be read is not missing.
    let lost = parsed.tables_lost || sources.found().iter().any(|found| found.code == Code::UnreadableFile);
    let mut draft = Draft::new(sources.text(), lost, diagnostics);
    let snapshot = assemble(&parsed.file, sources, &mut draft);
    let mut diagnostics = draft.into_diagnostics();
    diagnostics.conceal(&asked.take());
    diagnostics.sort();
    let snapshot = snapshot.filter(|_| !diagnostics.has_errors());
    debug_assert!(snapshot.is_some() || diagnostics.has_errors(), "what is missing was reported");
    Compiled { snapshot, diagnostics }
}

/// The text that `run --monolith URL --listen ADDR` stands for.
#[must_use]
pub fn without_file(monolith_url: &str, listen: &str, admin: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.replace("${", "$${")).to_string();
    format!(
        "[server]\nlisten = [{}]\nadmin = {}\n\n[monolith]\nurl = {}\n",
        quoted(listen),
        quoted(admin),
        quoted(monolith_url)
    )
}

fn assemble(file: &config::File, sources: &Arc<Sources>, draft: &mut Draft<'_>) -> Option<Snapshot> {
    let server = server::compile(file, draft);
    let matching = settings::matching(file);
    let limits = settings::limits(file);
    let logs = settings::logs(file);
    let tracing = settings::tracing(file, draft);
    let inventory = inventory::compile(file, draft);
    let copy_cpu = settings::copy_cpu(file, draft);
    let buckets = settings::buckets(file, draft);
    let metrics_otlp = settings::metrics_otlp(file, draft);
    let pages = pages::compile(file, sources, draft);
    let upstreams = upstreams::compile(file, draft);
    let routes = routes::compile(file, matching, &upstreams.names, draft);
    let notify = notify::compile(file, draft);
    let events = events::compile(file, draft);
    let fleet = fleet::compile(file, draft);
    routes::report_unused(file, &upstreams.names, &routes, draft);
    Some(Snapshot {
        sources: Arc::clone(sources),
        server: server?,
        matching,
        limits,
        logs,
        tracing,
        inventory,
        copy_cpu,
        buckets,
        metrics_otlp,
        pages,
        upstreams: upstreams.specs,
        monolith_retired: upstreams.monolith_retired,
        timeouts: upstreams.timeouts,
        routes: routes.all,
        table: routes.table,
        gate_defaults: routes.gate_defaults.map(Arc::new)?,
        notify,
        events,
        fleet,
    })
}
