//! `[monolith]` and `[services.NAME]`.

mod containers;
mod health;
mod limit;
mod nameko;
mod parts;
mod registry_url;
mod source;
mod spec;
mod target;
mod tls;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::draft::{Draft, check_name};
use super::settings::{DEFAULT_TIMEOUTS, timeouts};
use crate::config;
use crate::diagnostic::{Code, Span};
use crate::endpoint::{Balance, Source, Timeouts, UpstreamId, UpstreamSpec};
pub(super) use nameko::{compile_broker, is_bus_name};
use parts::Parts;
pub(super) use target::TargetKind;

pub(super) use registry_url::etcd_members;
pub(super) use tls::certificate_and_key;

/// The names by which routes speak of upstreams.
#[derive(Debug, Default)]
pub(super) struct Names<'f> {
    /// In order, so that a remedy that names one of them names the same one every time.
    services: BTreeMap<&'f str, Service>,
    /// Services whose tables could not be read: nothing is said about routes that use them.
    wrong: HashSet<&'f str>,
    /// Upstreams that are balanced by the client's unit.
    pub(super) by_unit: HashSet<UpstreamId>,
    /// Where the monolith is said to be retired.
    pub(super) monolith_retired: Option<Span>,
}

/// The facts that a route needs of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    pub(super) id: UpstreamId,
    pub(super) sandbox: bool,
    pub(super) target: TargetKind,
}

/// The meaning of a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    Service(Service),
    /// It is in the file but could not be read.
    Unreadable,
    No,
}

impl<'f> Names<'f> {
    pub(super) fn find(&self, name: &str) -> Found {
        match self.services.get(name) {
            Some(service) => Found::Service(*service),
            None if self.wrong.contains(name) => Found::Unreadable,
            None => Found::No,
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'f str> {
        self.services.keys().copied()
    }
}

/// All upstreams, and what routes have to know of them.
#[derive(Debug)]
pub(super) struct Upstreams<'f> {
    /// The monolith first, then the services in the order of their names.
    pub(super) specs: Vec<Arc<UpstreamSpec>>,
    pub(super) names: Names<'f>,
    pub(super) monolith_retired: bool,
    /// Of those that have none of their own.
    pub(super) timeouts: Timeouts,
}

pub(super) fn compile<'f>(file: &'f config::File, draft: &mut Draft<'_>) -> Upstreams<'f> {
    let base = timeouts(&file.timeouts, DEFAULT_TIMEOUTS);
    let mut names = Names::default();
    let mut specs = vec![Arc::new(monolith(file, base, &mut names, draft))];
    if let Some(services) = file.services.get() {
        names.wrong.extend(services.wrong.iter().map(String::as_str));
        for entry in &services.entries {
            check_service_name(&entry.name, entry.key.clone(), draft);
            let service = &entry.value;
            let parts = Parts::of_service(&entry.name, &entry.key, service);
            let sandbox = service.sandbox.or(false);
            let id = UpstreamId(u32::try_from(specs.len()).expect("a file has fewer than 2^32 services"));
            let target = target::kind(service);
            names.services.insert(&entry.name, Service { id, sandbox, target });
            let spec = target::compile(service, &parts, base, draft);
            specs.push(Arc::new(spec.unwrap_or_else(|| parts.compile(base, sandbox, draft))));
        }
    }
    let by_unit = specs.iter().zip(0_u32..).filter(|(spec, _)| spec.balance == Balance::Sticky);
    names.by_unit = by_unit.map(|(_, id)| UpstreamId(id)).collect();
    let monolith_retired = names.monolith_retired.is_some();
    Upstreams { specs, names, monolith_retired, timeouts: base }
}

fn check_service_name(name: &str, span: Span, draft: &mut Draft<'_>) {
    if matches!(name, "monolith" | "unmatched" | "none") {
        draft.say(
            Code::ReservedName,
            span,
            format!("a service cannot be called `{name}`"),
            "has a meaning of its own",
            if name == "monolith" { "write `[monolith]` for the monolith" } else { "give it another name" },
        );
        return;
    }
    check_name("service", name, span, draft);
}

fn monolith(file: &config::File, base: Timeouts, names: &mut Names<'_>, draft: &mut Draft<'_>) -> UpstreamSpec {
    let empty = config::Monolith::default();
    let monolith = file.monolith.get().unwrap_or(&empty);
    if file.monolith.is_absent() && !draft.tables_lost {
        draft.say(
            Code::MissingMonolith,
            0..0,
            "the file has no `[monolith]`",
            "everything that no route takes goes to it",
            "add `[monolith]` with its address: `url = \"http://127.0.0.1:3000\"`",
        );
    }
    let key = monolith.span.clone();
    let parts = Parts::of_monolith(&key, monolith);
    let retired = monolith.retired.given().filter(|given| given.value);
    names.monolith_retired = retired.map(|given| given.span.clone());
    if retired.is_some() && parts.has_no_source() || !matches!(file.monolith, config::Field::Given(_)) {
        return parts.compile_from(Source::Fixed(Vec::new()), None, base, false, draft);
    }
    parts.compile(base, false, draft)
}
