//! A recorded request as one that can be routed, by either file.

use std::collections::HashMap;
use std::fmt::Write as _;

use http::Method;

use crate::compile::Snapshot;
use crate::learn::RecordedRequest;
use crate::message::{Fields, Name, percent_encoded};
use crate::migration::{Answers, Dial, Policy, Stage, bucket};
use crate::route::{ConditionKind, ConditionOn, Facts, RouteId, normalise_bytes};

/// The dial that a route has under a file; `None`: what the file says.
pub(super) type DialOf<'a> = &'a dyn Fn(RouteId) -> Option<Dial>;

/// The side that answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answerer {
    Monolith,
    /// An upstream other than the monolith.
    Service,
    /// The route itself, in the place of a service.
    Redirect,
}

/// Where a request goes under one file.
pub(super) struct Place<'a> {
    pub route: Option<&'a str>,
    pub by: Answerer,
    /// The route's service.
    pub service: Option<&'a str>,
    /// The client's bucket is not known under this file: another one was drawn for it.
    pub estimated: bool,
    /// The route's clients are divided by their buckets.
    pub divides: bool,
}

impl Place<'_> {
    /// The side that answers then; `None`: the one that answers now.
    pub(super) fn change(&self, after: &Self) -> Option<Answerer> {
        (self.by != after.by).then_some(after.by)
    }

    /// Both are services, and not the same one.
    pub(super) fn changes_service(&self, after: &Self) -> bool {
        let both = (self.by, after.by) == (Answerer::Service, Answerer::Service);
        both && self.service.is_some() && after.service.is_some() && self.service != after.service
    }
}

/// A recorded request as one that can be routed.
pub(super) struct Replay<'a> {
    request: &'a RecordedRequest,
    method: Method,
    fields: Fields,
    query: String,
}

impl<'a> Replay<'a> {
    /// A value of which only the hash is known stands for one that the new file names, if that has the same hash.
    pub(super) fn of(request: &'a RecordedRequest, named: &NamedValues) -> Option<Self> {
        let mut fields = Fields::new();
        let mut query = String::new();
        let mut cookies = String::new();
        for value in &request.asked {
            let text = match &value.text {
                Some(text) => text.clone(),
                None => named.0.get(&value.hash).cloned().unwrap_or_else(|| format!("~{:x}", value.hash)),
            };
            match ConditionOn::read(&value.on)? {
                ConditionOn::Header => fields.append(&*value.name, text.as_bytes()),
                ConditionOn::Cookie => write!(cookies, "{}={text}; ", value.name).expect("a string"),
                ConditionOn::Query => {
                    write!(query, "{}={}&", percent_encoded(&value.name), percent_encoded(&text)).expect("a string");
                }
            }
        }
        if !cookies.is_empty() {
            fields.append(Name::Cookie, cookies.trim_end_matches("; ").as_bytes());
        }
        Some(Self { request, method: Method::from_bytes(request.method.as_bytes()).ok()?, fields, query })
    }

    /// Path and query, as on the wire.
    pub(super) fn target(&self) -> String {
        let query = self.query.trim_end_matches('&');
        let between = if query.is_empty() { "" } else { "?" };
        format!("{}{between}{query}", self.request.path)
    }

    /// The headers that the file asks about.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.fields.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn facts<'s>(&'s self, path: &'s str) -> Facts<'s> {
        Facts {
            method: &self.method,
            preflight: None,
            host: &self.request.host,
            path,
            query: (!self.query.is_empty()).then_some(self.query.trim_end_matches('&').as_bytes()),
            headers: &self.fields,
            client: None,
            upgrade: false,
        }
    }

    pub(super) fn place<'s>(&self, snapshot: &'s Snapshot, dials: DialOf<'_>, number: u64) -> Place<'s> {
        let nowhere = Place { route: None, by: Answerer::Monolith, service: None, estimated: false, divides: false };
        let Ok(normal) = normalise_bytes(self.request.path.as_bytes(), &snapshot.matching) else { return nowhere };
        let found = snapshot.table.select(&self.facts(normal.as_str()), &normal).ok().flatten();
        let Some((found, route)) = found.and_then(|found| Some((found, snapshot.routes.get(found.route.index())?)))
        else {
            return nowhere;
        };
        let dial = dials(found.route).unwrap_or(route.policy.dial);
        let (moved, estimated) = match dial.stage {
            Stage::Retired => self.side(&route.policy, dial, number),
            _ if snapshot.server.monolith_only => (false, false),
            _ => self.side(&route.policy, dial, number),
        };
        let by = match (moved, &route.redirect) {
            (false, _) => Answerer::Monolith,
            (true, Some(_)) => Answerer::Redirect,
            (true, None) => Answerer::Service,
        };
        let service = route.policy.service.map(|id| &*snapshot.upstreams[id.index()].name);
        Place { route: Some(&route.name), by, service, estimated, divides: dial.stage.divides() }
    }

    /// The number of the route that takes it.
    pub(super) fn route(&self, snapshot: &Snapshot) -> Option<u32> {
        let normal = normalise_bytes(self.request.path.as_bytes(), &snapshot.matching).ok()?;
        let found = snapshot.table.select(&self.facts(normal.as_str()), &normal).ok()??;
        Some(found.route.0)
    }

    /// Whether an upstream other than the monolith is to answer, or the redirect in its place, and whether that was drawn anew.
    fn side(&self, policy: &Policy, dial: Dial, number: u64) -> (bool, bool) {
        match dial.stage.answers() {
            Answers::Monolith => (false, false),
            Answers::Service => (true, false),
            Answers::ByWeight => {
                let (bucket, estimated) = self.bucket(policy, number);
                (bucket < dial.weight.buckets(), estimated)
            }
            Answers::ByVariant => {
                let (bucket, estimated) = self.bucket(policy, number);
                let mut end = 0;
                let variant = policy.variants.iter().find(|variant| {
                    end += variant.weight.buckets();
                    bucket < end
                });
                (variant.is_some_and(|variant| variant.upstream != crate::endpoint::UpstreamId::MONOLITH), estimated)
            }
        }
    }

    fn bucket(&self, policy: &Policy, number: u64) -> (u16, bool) {
        let Some(unit) = &self.request.unit else {
            // A client without a unit is given one by chance.
            return (bucket(&policy.cohort, &number.to_le_bytes()).0, true);
        };
        if unit.cohort == *policy.cohort && unit.sticky == policy.sticky_sources() {
            return (unit.bucket, false);
        }
        (bucket(&policy.cohort, &unit.hash.to_le_bytes()).0, true)
    }
}

/// The buckets of clients that the service answers, of 10 000; `None`: variants answer.
pub(super) fn service_share(dial: Dial) -> Option<u16> {
    match dial.stage.answers() {
        Answers::Monolith => Some(0),
        Answers::Service => Some(10_000),
        Answers::ByWeight => Some(dial.weight.buckets()),
        Answers::ByVariant => None,
    }
}

pub(super) fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// The values that a file's equalities name, by their hashes.
pub(super) struct NamedValues(HashMap<u64, String>);

impl NamedValues {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let conditions = snapshot.routes.iter().flat_map(|route| &route.rule.conditions);
        let values = conditions.filter_map(|condition| match &condition.kind {
            ConditionKind::Equal(text) => Some((xxhash_rust::xxh3::xxh3_64(text.as_bytes()), text.to_string())),
            _ => None,
        });
        Self(values.collect())
    }
}
