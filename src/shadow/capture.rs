//! The primary's answer, captured as it passes to the client.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::oneshot;

use super::budget::Held;
use super::gathered::Gathered;
use crate::compare::{Body, ComparedResponse};
use crate::message::{Fields, Name};

/// An answer that was read, with what it holds of the budget and how long its head took.
pub(super) struct Seen {
    pub(super) response: ComparedResponse,
    pub(super) took: Duration,
    /// Of that, the most that the answer waited for the thread that reads it.
    pub(super) waited: Duration,
    /// Its Location as the endpoint wrote it; `None` where only what the client got is known.
    pub(super) location: Option<Box<str>>,
    /// The endpoint that answered; `None` as above.
    pub(super) endpoint: Option<Box<str>>,
    #[expect(dead_code, reason = "held for its Drop")]
    pub(super) held: Held,
}

/// Lives in the exchange; dropping it says that there is nothing to compare.
pub struct Capture {
    to: oneshot::Sender<Seen>,
    limit: u64,
    passing: Option<Passing>,
    fresh: Option<Held>,
}

struct Passing {
    status: StatusCode,
    fields: Fields,
    took: Duration,
    streams: bool,
    body: Gathered,
}

impl Capture {
    pub(super) const fn new(to: oneshot::Sender<Seen>, limit: u64, held: Held) -> Self {
        Self { to, limit, passing: None, fresh: Some(held) }
    }

    /// The head that goes to the client. `took`: since the upstream was asked.
    pub fn head(&mut self, status: StatusCode, fields: &Fields, took: Duration) {
        if self.to.is_closed() {
            // The copy failed: its answer will not come.
            return;
        }
        let Some(held) = self.fresh.take() else { return };
        self.passing = Some(Passing {
            status,
            fields: fields.clone(),
            took,
            streams: streams(fields),
            body: Gathered::new(self.limit, held),
        });
    }

    /// A chunk of the body, before anything is done to it.
    pub fn chunk(&mut self, chunk: &Bytes) {
        if let Some(passing) = self.passing.as_mut().filter(|passing| !passing.streams) {
            passing.body.push(chunk);
        }
    }

    /// The trailers, which say how a call of gRPC ended: a part of what is compared as its fields.
    pub fn trailers(&mut self, trailers: &Fields) {
        if let Some(passing) = &mut self.passing {
            append(&mut passing.fields, trailers);
        }
    }

    /// The exchange is over. `whole`: the answer reached its end.
    pub fn finish(self, whole: bool) {
        let Some(passing) = self.passing else { return };
        let (body, held) = passing.body.into_body();
        let body = match (passing.streams, whole) {
            (true, _) => Body::Streamed,
            (false, true) => body,
            (false, false) => Body::Cut,
        };
        let response = ComparedResponse { status: passing.status, headers: passing.fields.to_map(), body };
        // The receiver is gone if the copy failed.
        let seen = Seen { response, took: passing.took, waited: Duration::ZERO, location: None, endpoint: None, held };
        drop(self.to.send(seen));
    }
}

/// Adds trailers to the fields of a head. A call's trailers are one with its head: a response of trailers alone has them there.
pub(super) fn append(fields: &mut Fields, trailers: &Fields) {
    for (name, value) in trailers.iter() {
        fields.push_raw(name, value);
    }
}

/// An answer without an end.
pub(super) fn streams(fields: &Fields) -> bool {
    fields.get(Name::ContentType).is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}
