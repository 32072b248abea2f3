//! A request that was kept as an example, made ready to be asked once more as it would be copied.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderName, Method, Version};
use thiserror::Error;

use super::generation::Generation;
use super::mirror::Origin;
use super::request;
use crate::compare::{KeptRequest, REDACTED};
use crate::endpoint::UpstreamId;
use crate::guard;
use crate::guard::headers::PeerFacts;
use crate::guard::identity::Inquiry;
use crate::message::{RequestHead, is_value};
use crate::migration::Stage;
use crate::route::normalise_bytes;
use crate::shadow::{Again, Target};
use crate::telemetry::{RequestId, TraceContext};

/// Why a kept request is not asked again.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NotAgain {
    #[error("only GET, HEAD and OPTIONS are asked again: {0} may change something")]
    Unsafe(String),
    #[error("its path or query held a secret, or was too long, and is not kept as it was")]
    NotKept,
    #[error("`{0}` is not a header: give a name and a value")]
    Header(String),
    #[error("the proxy would refuse it now: {0}")]
    Refused(String),
    #[error("route `{0}` would take it now")]
    OtherRoute(String),
    #[error("no route would take it now")]
    NoRoute,
    #[error("the route has no service now, or sends no copies")]
    NoCopies,
}

/// The request as a copy of it would be, under what is in force now. `headers`: of the request, what was kept and what is
/// given by hand; the last of a name wins.
///
/// # Errors
/// It is not to be asked again, or is not the same request any more.
pub fn again(
    generation: &Arc<Generation>,
    route: &str,
    kept: KeptRequest,
    headers: &[(String, String)],
) -> Result<Again, NotAgain> {
    let method = Method::from_bytes(kept.method.as_bytes()).map_err(|_| NotAgain::Unsafe(kept.method.clone()))?;
    if !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Err(NotAgain::Unsafe(kept.method));
    }
    let target = kept.target.as_bytes();
    if kept.target.contains(REDACTED)
        || kept.target.contains(char::REPLACEMENT_CHARACTER)
        || !target.starts_with(b"/")
        || target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f)
    {
        return Err(NotAgain::NotKept);
    }
    let snapshot = &generation.snapshot;
    let mut head = RequestHead::new(method, Version::HTTP_11, target);
    for (name, value) in headers {
        if HeaderName::from_bytes(name.as_bytes()).is_err() || !is_value(value.as_bytes()) {
            return Err(NotAgain::Header(name.clone()));
        }
        head.fields.remove(name.as_str());
        head.fields.push_raw(name.as_bytes(), value.trim().as_bytes());
    }
    guard::framing::check(&head, Some(0), &snapshot.limits)
        .map_err(|refusal| NotAgain::Refused(format!("{} ({})", refusal.status, refusal.reason)))?;
    let arrival = PeerFacts {
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        tls: false,
        subject: None,
        trusted: &snapshot.server.trusted,
        force: snapshot.server.force.as_ref(),
        forwarded: snapshot.server.forwarded,
    };
    let received = guard::headers::receive(&mut head, &arrival);
    let refused = |path: crate::route::PathRefused| NotAgain::Refused(path.to_string());
    let normal = normalise_bytes(head.path(), &snapshot.matching).map_err(refused)?;
    let announced = request::announced_method(&head);
    let facts = request::facts(&head, normal.as_str(), announced.as_ref(), Some(received.client), received.upgrade);
    let found = snapshot.table.select(&facts, &normal).map_err(refused)?.ok_or(NotAgain::NoRoute)?;
    let entry = generation.route(Some(found.route));
    if entry.name() != route {
        return Err(NotAgain::OtherRoute(entry.name().to_owned()));
    }
    let (Some(copies), Some(service)) = (entry.copies.clone(), entry.policy.service) else {
        return Err(NotAgain::NoCopies);
    };
    // As a copy: what the copy alone says goes where copies go.
    let upstream = if entry.dial.stage == Stage::Migrated { UpstreamId::MONOLITH } else { service };
    let asks = entry.access.for_copies.as_ref().filter(|_| upstream != UpstreamId::MONOLITH);
    let target = Target {
        upstream,
        pool: Arc::clone(generation.pool(upstream)),
        monolith: Arc::clone(generation.pool(UpstreamId::MONOLITH)),
        service: (service, Arc::clone(generation.pool(service))),
        unit: None,
        client: None,
        request_id: RequestId::made(fastrand::u128(..)),
        trace: TraceContext::continue_or_start(&head.fields, fastrand::u128(1..), fastrand::u64(1..)).for_shadow(),
        safe: true,
        inquiry: asks.map(|asks| Box::new(Inquiry { asks: Arc::clone(asks), forwarded: None })),
    };
    let has = |name: &str| headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    let without_credentials = kept.authorized && !has("authorization") && !has("cookie");
    let translate = Box::new(Origin::made(generation, Some(found), &head));
    Ok(Again { copies, target, head, translate, kept, without_credentials })
}
