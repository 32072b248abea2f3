//! The request's path: everything that happens to a request, one method each, in the order in which it happens. The
//! `driver` runs them; each guards against panics and tells the observers by itself.

mod access;
mod admit;
mod again;
mod attempt;
mod attempt_record;
mod body;
mod buffer;
mod call;
mod client_end;
mod deadline;
mod driver;
mod endpoint_connection;
mod enforce;
mod exchange;
mod explain;
mod failure;
mod fault;
mod finish;
mod generation;
mod head_edits;
mod identify;
mod issued_cookie;
mod location;
mod mirror;
mod outbound;
mod own_host;
mod page;
mod panic;
mod pump;
mod queue;
mod rate_limit_status;
mod recording;
mod replay_buffer;
mod reply;
mod request;
mod response;
mod response_buffer;
mod rewriting;
mod sign_in;
mod spill;
mod splice;
mod tunnel;

pub use access::Access;
pub use again::{NotAgain, again};
pub use client_end::ClientEnd;
pub use driver::{refuse, serve};
pub use exchange::{Arrival, Exchange};
pub use explain::{ExplainError, ExplainRequest, Explained, ExplainedKey, explain};
pub use failure::{Blame, Failure};
pub use generation::{Generation, RouteInForce, UNMATCHED, meter_index, wanted_service_share};
pub use page::{Page, own_response};
#[cfg(any(test, feature = "provoked-panics"))]
pub use panic::provoked;
pub use panic::{Thrown, alone};
pub use reply::{After, send_raw};
pub use spill::Disk;

use std::sync::Arc;

use tokio::sync::watch;

use crate::client::ConnectError;
use crate::guard;
use crate::guard::identity::{ClientIdentity, Unidentified};
use crate::learn::Learner;
use crate::live::{InForce, Live};
use crate::message::{Piece, RequestHead, ResponseHead};
use crate::shadow::ShadowTraffic;
use crate::telemetry::Telemetry;
use attempt::{Failed, HeadOutcome, Next};
use panic::{Step, caught};

/// The state that all requests share.
pub struct Steps {
    pub in_force: Arc<InForce<Generation>>,
    pub live: Arc<Live>,
    pub access: Arc<Access>,
    pub telemetry: Arc<Telemetry>,
    pub shadow: Arc<ShadowTraffic>,
    pub learner: Arc<Learner>,
    /// Bodies that wait on disk.
    pub disk: Arc<Disk>,
    /// Tells tunnels that the server goes.
    pub going_away: watch::Sender<bool>,
    /// Connections to upstreams that each thread keeps.
    pub idle: usize,
}

impl Steps {
    /// The head is there: refuse what is malformed, find the route, choose the side, begin the copy.
    pub fn admit(&self, exchange: &mut Exchange) -> Result<(), Failure> {
        caught(self, Step::Admit, exchange, |exchange| admit::admit(self, exchange))
    }

    /// The servers that identify the client have answered, or not.
    pub fn identified(
        &self,
        exchange: &mut Exchange,
        identified: Result<ClientIdentity, Unidentified>,
    ) -> Result<(), Failure> {
        caught(self, Step::Identified, exchange, |exchange| identify::identified(self, exchange, identified))
    }

    /// Gives input that is not a request its id, so that it has a line in the log like one.
    pub fn admit_malformed(&self, exchange: &mut Exchange) {
        admit::identify_malformed(self, exchange);
    }

    /// The upstream takes no more requests at once.
    pub fn not_admitted(&self, exchange: &mut Exchange) -> Next {
        caught(self, Step::Choose, exchange, |exchange| Ok(attempt::not_sent(self, exchange, Failure::Queue)))
            .unwrap_or_else(Next::Stop)
    }

    /// Picks the endpoint that is asked.
    pub fn choose(&self, exchange: &mut Exchange) -> Result<(), Next> {
        caught(self, Step::Choose, exchange, |exchange| Ok(attempt::choose(self, exchange)))
            .unwrap_or_else(|failure| Err(Next::Stop(failure)))
    }

    /// No connection to the endpoint could be made.
    pub fn not_connected(&self, exchange: &mut Exchange, error: &ConnectError) -> Next {
        caught(self, Step::NotConnected, exchange, |exchange| Ok(attempt::not_connected(self, exchange, error)))
            .unwrap_or_else(Next::Stop)
    }

    /// A connection to the endpoint is there.
    pub fn connected(&self, exchange: &mut Exchange, reused: bool) -> Result<(), Failure> {
        caught(self, Step::Connected, exchange, |exchange| {
            attempt::connected(exchange, reused);
            Ok(())
        })
    }

    /// Makes the head that the endpoint is sent.
    pub fn request_head(&self, exchange: &mut Exchange) -> Result<RequestHead, Failure> {
        caught(self, Step::RequestHead, exchange, |exchange| outbound::head(exchange))
    }

    /// A piece of the request's body came from the client.
    pub fn request_piece(&self, exchange: &mut Exchange, piece: &Piece) -> Result<(), Failure> {
        caught(self, Step::RequestPiece, exchange, |exchange| {
            body::request_piece(piece, exchange)?;
            mirror::request_piece(self, piece, exchange);
            Ok(())
        })
    }

    /// A head that comes before the final one (1xx) goes to the client.
    pub fn interim(&self, exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Failure> {
        caught(self, Step::Interim, exchange, |_| {
            guard::headers::interim(head);
            Ok(())
        })
    }

    /// The final head of a response. `kept`: the request can be sent again.
    pub fn response_head(
        &self,
        exchange: &mut Exchange,
        head: &mut ResponseHead,
        kept: bool,
    ) -> Result<HeadOutcome, Failure> {
        caught(self, Step::ResponseHead, exchange, |exchange| {
            let verdict = attempt::response_head(self, exchange, head, kept);
            if verdict == HeadOutcome::Pass {
                response::prepare(head, exchange)?;
            }
            Ok(verdict)
        })
    }

    /// A piece of the response's body goes to the client.
    pub fn response_piece(&self, exchange: &mut Exchange, piece: &Piece) -> Result<(), Failure> {
        caught(self, Step::ResponsePiece, exchange, |exchange| {
            mirror::response_piece(piece, exchange);
            attempt::response_piece(self, exchange, piece);
            Ok(())
        })
    }

    /// The attempt failed after it was connected: may another endpoint answer?
    pub fn failed(&self, exchange: &mut Exchange, failed: Failed) -> Next {
        caught(self, Step::Failed, exchange, |exchange| Ok(attempt::failed(self, exchange, failed)))
            .unwrap_or_else(Next::Stop)
    }

    /// The exchange is over: counters, log line, spans.
    pub fn finish(&self, exchange: &mut Exchange) {
        // A panic here costs the line, and what the exchange holds goes with it.
        let _ = caught(self, Step::Finish, exchange, |exchange| {
            finish::settle(self, exchange);
            Ok(())
        });
    }
}
