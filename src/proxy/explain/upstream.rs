//! Explains the upstream.

use std::time::Duration;

use super::{ExplainedBuffer, ExplainedLimit, ExplainedTimeouts};
use crate::compile::{Route, Snapshot};
use crate::endpoint::{Buffering, RequestBuffer, Source, UpstreamId};

pub(super) fn name_of(snapshot: &Snapshot, id: UpstreamId) -> String {
    snapshot.upstreams.get(id.index()).map_or_else(String::new, |spec| spec.name.to_string())
}

pub(super) fn buffer(snapshot: &Snapshot, route: Option<&Route>, upstream: UpstreamId) -> ExplainedBuffer {
    let base = snapshot.upstreams.get(upstream.index()).map_or_else(Buffering::default, |spec| spec.buffer);
    let buffer = route.map_or_else(Buffering::default, |route| route.buffer).over(base);
    let answer = match buffer.response() {
        0 => RequestBuffer::None,
        bytes => RequestBuffer::Size(bytes),
    };
    ExplainedBuffer { request: buffer.request().to_string(), answer: answer.to_string() }
}

pub(super) fn limit(snapshot: &Snapshot, upstream: UpstreamId) -> Option<ExplainedLimit> {
    let limit = snapshot.upstreams.get(upstream.index())?.limit?;
    Some(ExplainedLimit {
        max_in_flight: limit.most,
        queue_length: limit.length,
        queue_timeout_seconds: limit.timeout.as_secs_f64(),
    })
}

pub(super) fn timeouts(snapshot: &Snapshot, route: Option<&Route>, upstream: UpstreamId) -> Option<ExplainedTimeouts> {
    let own = route?.timeouts?;
    let times = own.over(snapshot.upstreams.get(upstream.index())?.timeouts);
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    Some(ExplainedTimeouts {
        connect: seconds(times.connect),
        answer: seconds(times.answer),
        idle: seconds(times.idle),
        total: seconds(times.total),
    })
}

/// The endpoint, where there is only one that it could be.
pub(super) fn only_endpoint(snapshot: &Snapshot, id: UpstreamId) -> Option<String> {
    match &snapshot.upstreams.get(id.index())?.source {
        Source::Fixed(endpoints) => match &endpoints[..] {
            [(address, _)] => Some(address.to_string()),
            _ => None,
        },
        _ => None,
    }
}
