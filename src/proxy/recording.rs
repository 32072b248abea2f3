//! Records a request for `plan`, without its values: now and then, behind its end.

use std::sync::Arc;

use super::Steps;
use super::exchange::Exchange;
use super::request::{announced_method, facts};
use crate::learn::{RecordedRequest, RecordedUnit, now};
use crate::migration::{Unit, bucket};
use crate::route::normalise_bytes;

/// `weight`: for how many requests it stands.
// Few requests come here: a function of its own is kept out of the path of the others, and `tests/bench/instructions` finds its share.
#[cold]
#[inline(never)]
pub fn record(steps: &Steps, exchange: &Exchange, weight: u32) {
    let head = &exchange.head;
    let snapshot = &exchange.generation.snapshot;
    let Ok(normal) = normalise_bytes(head.path(), &snapshot.matching) else { return };
    let announced = announced_method(head);
    let facts = facts(head, normal.as_str(), announced.as_ref(), exchange.client, exchange.upgrade);
    let policy = &exchange.route().policy;
    let unit = Unit::of(&policy.sticky, &facts).map(|unit| RecordedUnit {
        sticky: policy.sticky_sources(),
        cohort: policy.cohort.to_string(),
        bucket: bucket(&policy.cohort, &unit.value).0,
        hash: xxhash_rust::xxh3::xxh3_64(&unit.value),
    });
    let asked = steps.learner.asked();
    let request = RecordedRequest {
        minute: now(),
        method: facts.method.to_string(),
        host: facts.host.to_ascii_lowercase(),
        path: normal.as_str().to_owned(),
        shown: None,
        asked: asked.values(&facts),
        names: asked.number(),
        unit,
        weight,
    };
    steps.learner.record(request, Arc::clone(asked.words()));
}
