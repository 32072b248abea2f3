//! The connection to the endpoint that was chosen: one that waits, or a new one.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::attempt::connect_limit;
use super::client_end::ClientEnd;
use super::exchange::Exchange;
use crate::client::{ConnectError, End};
use crate::downstream::ClientFault;
use crate::endpoint::HttpVersions;

/// The versions that this request may be sent in.
fn versions(exchange: &Exchange) -> HttpVersions {
    if exchange.upgrade || exchange.http1_alone {
        HttpVersions::Http1
    } else {
        exchange.generation.pool(exchange.target).spec().http
    }
}

/// A connection that can take the request to the chosen endpoint at once.
pub fn idle(exchange: &mut Exchange) -> Option<End> {
    if let Some(own) = exchange.attempt.own.take() {
        return Some(End::http1(own));
    }
    if let Some(shared) = exchange.generation.pool(exchange.target).target().shared() {
        return Some(shared);
    }
    if exchange.upgrade {
        // A tunnel is never given back, and a request for one is never sent twice: it gets a connection of its own.
        return None;
    }
    let lease = exchange.attempt.lease.as_ref()?;
    let now = exchange.attempt.began.unwrap_or_else(Instant::now);
    let (key, tls) = (lease.connection_key_for(exchange.proxied().as_ref()), lease.peer_http1().is_tls());
    let keepalive = exchange.generation.pool(exchange.target).spec().keepalive;
    let youngest = if exchange.attempt.anew {
        Duration::ZERO
    } else {
        keepalive.reuse_within(lease.idle_closes(), exchange.is_safe())
    };
    End::kept(key, versions(exchange), tls, now, youngest)
}

/// A new connection to the chosen endpoint.
pub async fn connect(exchange: &Exchange) -> Result<End, ConnectError> {
    if let Some(shared) = exchange.generation.pool(exchange.target).target().connected(connect_limit(exchange)).await {
        return shared;
    }
    let lease = exchange.attempt.lease.as_ref().expect("an endpoint was chosen");
    let versions = versions(exchange);
    let client = exchange.proxied();
    let peer = lease.peer_for(client.as_ref(), versions == HttpVersions::Http1);
    let idle = exchange.generation.pool(exchange.target).spec().keepalive.http2();
    let key = lease.connection_key_for(client.as_ref());
    End::connect(&peer, connect_limit(exchange), (key, versions), idle).await
}

/// The output of `work`; it is an error if the client leaves first.
pub async fn while_client_stays<T>(
    client: &mut ClientEnd<'_>,
    began: Instant,
    work: impl Future<Output = T>,
) -> Result<T, ClientFault> {
    let mut work = std::pin::pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => client.poll_gone(cx, began).map(Err),
    })
    .await
}
