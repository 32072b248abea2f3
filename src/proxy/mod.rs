//! The request's path: pingora's hooks in the order in which they are called, each a call of a step beside it.

mod access;
mod answer;
mod attempt;
mod body;
mod copying;
mod edition;
mod exchange;
mod explain;
mod express;
mod failure;
mod finish;
mod held;
mod intake;
mod lent;
mod location;
mod outbound;
mod page;
mod panic;
mod parsed;
mod passes_on;
mod plain;
mod plain_head;
mod rewriting;
mod sending;
mod slot;
mod socket;
mod takes;
mod tunnel;
mod upgraded;
mod upload;
mod watch;
mod writing;

pub use access::Access;
pub use edition::{Edition, RouteEdition, UNMATCHED, meter_index, wanted_service_share};
pub use exchange::Exchange;
pub use explain::{ExplainError, ExplainRequest, Explained, explain};
pub use express::Express;
pub use failure::{Failure, Fault};
pub use held::Held;
pub use lent::Lent;
pub use page::{Page, own_answer, page};
#[cfg(test)]
pub use panic::provoked;
pub use panic::{Thrown, alone};
pub(crate) use passes_on::passes_on;
pub use takes::{Taken, takes};
pub use tunnel::Tunnel;
pub use watch::{Watch, Watched, watched};
pub use writing::Pace;

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};

use crate::live::{InForce, Live};
use crate::shadow::Shadow;
use crate::telemetry::Telemetry;
use panic::{Hook, caught};

/// The proxy: what all its requests share.
#[derive(Clone)]
pub struct Edge {
    pub in_force: Arc<InForce<Edition>>,
    pub live: Arc<Live>,
    pub access: Arc<Access>,
    pub telemetry: Arc<Telemetry>,
    pub shadow: Arc<Shadow>,
}

#[async_trait]
impl ProxyHttp for Edge {
    /// In a box, because pingora moves it from future to future, and each keeps room for it.
    type CTX = Box<Exchange>;

    fn new_ctx(&self) -> Self::CTX {
        Watch::take_admitted().unwrap_or_else(|| Box::new(intake::begin(self.in_force.load(), Instant::now())))
    }

    fn init_downstream_modules(&self, _: &mut HttpModules) {
        // Pingora's default is a compressor that is switched off, and is asked at each step all the same.
    }

    async fn request_filter(&self, session: &mut Session, exchange: &mut Self::CTX) -> Result<bool> {
        let refused = caught(self, Hook::Request, exchange, |exchange| {
            let admitted = intake::admit(self, session, exchange);
            Ok(admitted.map(|()| copying::begin(self, session, exchange)).err())
        })?;
        match refused {
            None => Ok(false),
            Some(failure) => finish::refuse(session, exchange, failure).await.map(|()| true),
        }
    }

    async fn upstream_peer(&self, session: &mut Session, exchange: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        caught(self, Hook::Peer, exchange, |exchange| {
            let now = attempt::choose(self, session, exchange)?;
            Ok(attempt::peer(session, exchange, now))
        })
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        exchange: &mut Self::CTX,
        error: Box<Error>,
    ) -> Box<Error> {
        let failed = |exchange: &mut Exchange| Ok(attempt::not_connected(self, session, exchange, error));
        caught(self, Hook::NotConnected, exchange, failed).unwrap_or_else(|panicked| panicked)
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        reused: bool,
        peer: &HttpPeer,
        fd: RawFd,
        _digest: Option<&Digest>,
        exchange: &mut Self::CTX,
    ) -> Result<()> {
        let alone = attempt::is_alone(exchange, peer);
        caught(self, Hook::Connected, exchange, |exchange| {
            attempt::connected(session, exchange, reused, alone, fd);
            Ok(())
        })
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Self::CTX,
    ) -> Result<()> {
        caught(self, Hook::Outbound, exchange, |exchange| outbound::prepare(request, exchange))
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        chunk: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Self::CTX,
    ) -> Result<()> {
        caught(self, Hook::RequestBody, exchange, |exchange| {
            body::request_chunk(session, chunk.as_ref(), end, exchange)?;
            copying::request_passes(self, session, chunk.as_ref(), end, exchange);
            Ok(())
        })
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Self::CTX,
    ) -> Result<()> {
        caught(self, Hook::AnswerHead, exchange, |exchange| attempt::head_arrived(self, session, response, exchange))
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        chunk: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        caught(self, Hook::AnswerBody, exchange, |exchange| {
            body::answer_chunk(end, exchange)?;
            copying::answer_passes(chunk.as_ref(), exchange);
            body::to_client(chunk.as_mut(), exchange);
            Ok(None)
        })
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Self::CTX,
    ) -> Result<()> {
        caught(self, Hook::Answer, exchange, |exchange| answer::prepare(session, response, exchange))
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        exchange: &mut Self::CTX,
        reused: bool,
    ) -> Box<Error> {
        let failed = |exchange: &mut Exchange| {
            copying::attempt_failed(exchange);
            Ok(attempt::failed(self, session, exchange, error, reused))
        };
        caught(self, Hook::Failed, exchange, failed).unwrap_or_else(|panicked| panicked)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, exchange: &mut Self::CTX) -> FailToProxy {
        finish::report(session, error, exchange).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, exchange: &mut Self::CTX) {
        finish::close(self, session, error, exchange);
    }

    fn suppress_error_log(&self, _session: &Session, _exchange: &Self::CTX, _error: &Error) -> bool {
        // The access log says it, with route, upstream and cause.
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Self::CTX, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
