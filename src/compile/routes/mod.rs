//! `[routes.NAME]`: each route by itself, then what only shows when all are seen together.

mod access;
mod answer;
mod call;
mod cohorts;
mod compare;
mod conditions;
mod cookieless;
mod cookies;
mod copies;
mod covered;
mod edits;
mod fallback;
mod fault;
mod gate;
mod identity;
mod overtaken;
mod policy;
mod reach;
mod redirect;
mod retired;
mod rewrite;
mod rule;
mod safe_methods;
mod service;
mod shadow;
mod sticky;
mod target;
mod unused;
mod variants;

pub use rule::is_host;
pub(super) use unused::report_unused;

use std::collections::HashSet;
use std::sync::Arc;

use super::draft::{Draft, check_name};
use super::settings::{buffer, own_timeouts};
use super::upstreams::Names;
use crate::compile::Route;
use crate::config::{self, NamedEntry};
use crate::diagnostic::{Code, Diagnostic};
use crate::endpoint::UpstreamId;
use crate::migration::Dial;
use crate::migration::gate::Gate;
use crate::route::{Matching, RouteTable};

/// The compiled routes.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// In the order of their names.
    pub(super) all: Vec<Arc<Route>>,
    pub(super) table: RouteTable,
    /// Upstreams that some route names.
    pub(super) used: HashSet<UpstreamId>,
    /// Every route of the file could be read.
    pub(super) complete: bool,
    /// `[gate]` over what is built in.
    pub(super) gate_defaults: Option<Gate>,
}

/// The state that the checks of one route share.
#[derive(Debug, Clone, Copy)]
struct Site<'f> {
    entry: &'f NamedEntry<config::Route>,
    route: &'f config::Route,
    names: &'f Names<'f>,
    /// `[gate]` over what is built in.
    gate_defaults: &'f Gate,
}

impl<'f> Site<'f> {
    fn name(&self) -> &'f str {
        &self.entry.name
    }
}

pub(super) fn compile(file: &config::File, matching: Matching, names: &Names<'_>, draft: &mut Draft<'_>) -> Routes {
    let empty = config::Named::default();
    let written = file.routes.get().unwrap_or(&empty);
    let mut routes = Routes {
        complete: written.wrong.is_empty() && !matches!(file.routes, config::Field::Wrong),
        ..Routes::default()
    };
    // Compiled routes beside what was written of them: the checks over all routes point into the file.
    let gate_defaults = gate::defaults(file, draft);
    let mut kept = Vec::with_capacity(written.entries.len());
    for entry in &written.entries {
        let site = Site { entry, route: &entry.value, names, gate_defaults: &gate_defaults };
        check_route_name(site, draft);
        service::note_used(site, &mut routes);
        match one(site, draft) {
            Some(route) => {
                routes.all.push(Arc::new(route));
                kept.push(entry);
            }
            None => routes.complete = false,
        }
    }
    routes.gate_defaults = Some(gate_defaults);
    identity::reserve(&mut routes.all);
    cohorts::check(&kept, &routes.all, draft);
    cookies::check(&kept, &routes.all, draft);
    retired::check(&kept, &routes.all, names, draft);
    access::check_fleet(file, &kept, draft);
    reach::check(&kept, &routes.all, draft);
    overtaken::check(&kept, &routes.all, draft);
    covered::check(&kept, &routes.all, matching.ignore_trailing_slash, draft);
    let rules: Vec<_> = routes.all.iter().map(|route| Arc::clone(&route.rule)).collect();
    match RouteTable::build(&rules, matching) {
        Ok(table) => routes.table = table,
        Err(ambiguities) => {
            for found in ambiguities {
                let first = (kept[found.first.index()], found.first_path);
                ambiguous(first, (kept[found.second.index()], found.second_path), draft);
            }
        }
    }
    routes
}

/// Writes the dials in force over what the file says.
pub(super) fn put_dials(file: &mut config::File, dials: &dyn Fn(&str) -> Option<Dial>) {
    let config::Field::Given(routes) = &mut file.routes else { return };
    for entry in &mut routes.value.entries {
        if let Some(dial) = dials(&entry.name) {
            policy::put_dial(&mut entry.value, dial);
        }
    }
}

fn check_route_name(site: Site<'_>, draft: &mut Draft<'_>) {
    if site.name() == "unmatched" {
        draft.say(
            Code::ReservedName,
            site.entry.key.clone(),
            "a route cannot be called `unmatched`",
            "what no route takes is called so",
            "give it another name; what no route takes goes to the monolith by itself",
        );
        return;
    }
    check_name("route", site.name(), site.entry.key.clone(), draft);
}

/// `None` after something was reported that leaves no route to speak of.
fn one(site: Site<'_>, draft: &mut Draft<'_>) -> Option<Route> {
    let rule = rule::compile(site, draft);
    let policy = policy::compile(site, rule.as_ref(), draft);
    let templates = rule.as_ref().map(|rule| rule.paths.as_slice()).unwrap_or_default();
    let rewrite = rewrite::compile(site, templates, draft);
    target::check(site, draft);
    cookieless::check(site, policy.as_ref(), draft);
    rewrite::check_effect(site, policy.as_ref(), &rewrite, draft);
    let methods = rule.as_ref().and_then(|rule| rule.methods.as_ref());
    copies::check(site, methods, policy.as_ref().and_then(|policy| policy.shadow.as_ref()), draft);
    let answer = answer::compile(site, draft);
    rewrite::check_answer(site, policy.as_ref(), draft);
    let call = call::compile(site, templates, draft);
    let redirect = redirect::compile(site, templates, draft);
    let fault = fault::compile(site, policy.as_ref(), draft);
    let allow = access::allow(site, draft);
    let rate_limit = access::rate_limit(site, draft);
    let jwt = access::jwt(site, draft);
    let identity = identity::compile(site, policy.as_ref(), draft);
    Some(Route {
        name: site.name().into(),
        rule: Arc::new(rule?),
        policy: policy?,
        rewrite,
        answer,
        body_limit: site.route.body_limit.get().and_then(|limit| limit.0).map(|size| size.0),
        buffer: buffer(&site.route.buffer),
        timeouts: own_timeouts(&site.route.timeouts),
        redirect,
        call,
        allow,
        fault,
        rate_limit,
        jwt,
        identity,
    })
}

/// One of two routes that cannot be told apart, and which of its paths it is.
type Contender<'f> = (&'f NamedEntry<config::Route>, u16);

fn ambiguous(one: Contender<'_>, other: Contender<'_>, draft: &mut Draft<'_>) {
    let (first, second) = if one.0.key.start <= other.0.key.start { (one, other) } else { (other, one) };
    let place = |(entry, path): Contender<'_>| {
        let written = entry.value.path.get().and_then(|paths| paths.0.get(usize::from(path)));
        written.map_or_else(|| entry.key.clone(), |item| item.span.clone())
    };
    let (a, b) = (&first.0.name, &second.0.name);
    draft.push(
        Diagnostic::new(
            Code::AmbiguousRoutes,
            format!("`{a}` and `{b}` take the same requests and are equally specific"),
        )
        .at(place(second))
        .label(format!("`{b}`"))
        .related(place(first), format!("`{a}`"))
        .help("give one of them `priority = 1`, or tell them apart by host, path, methods, headers, cookies or query"),
    );
}
