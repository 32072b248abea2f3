//! The request to an upstream, as `explain` shows it.

use std::net::IpAddr;

use serde::Serialize;

use super::super::failure::Failure;
use super::super::outbound::{Outbound, remote};
use crate::client::{Brief, Translation};
use crate::compile::{Route, Snapshot};
use crate::endpoint::UpstreamId;
use crate::guard::identity::ClientIdentity;
use crate::message::RequestHead;
use crate::migration::{Policy, Side};
use crate::route::{Found, Template};
use crate::telemetry::{RequestId, TraceContext};

/// Shown in the place of what the file takes from the environment.
const FROM_A_VARIABLE: &str = "(from a variable)";

/// The request that the upstream would get.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
}

/// The input for writing an upstream's request.
pub struct Writing<'a> {
    pub snapshot: &'a Snapshot,
    pub found: Option<Found>,
    pub route: Option<&'a Route>,
    pub policy: &'a Policy,
    pub client: IpAddr,
}

impl Writing<'_> {
    fn template(&self) -> Option<&Template> {
        self.found.map(|found| self.snapshot.table.template(found))
    }

    /// The head as this upstream would get it; values that the file takes from variables are hidden.
    pub fn head(&self, request: &RequestHead, side: Side, upstream: UpstreamId) -> Result<RequestHead, Failure> {
        let mut request = request.clone();
        let identity = self.route.and_then(ClientIdentity::announced);
        let outbound = Outbound {
            snapshot: self.snapshot,
            route: self.route,
            template: self.template(),
            policy: self.policy,
            side,
            upstream,
            // They are in the request already.
            forwarded: None,
            identity: identity.as_ref(),
            request_id: &RequestId::made(0),
            trace: TraceContext::continue_or_start(&request.fields, 1, 1),
        };
        outbound.write(&mut request)?;
        let service = self.route.filter(|_| upstream != UpstreamId::MONOLITH).map(|route| &route.rewrite.headers);
        let variant = match side {
            Side::Variant(index) => self.policy.variants.get(usize::from(index)).map(|variant| &variant.headers),
            _ => None,
        };
        let edits: Vec<_> = service.into_iter().chain(variant).collect();
        let is_secret = |name: &[u8], value: &[u8]| {
            let mut written = edits.iter().flat_map(|edits| edits.set.iter().chain(&edits.add));
            written.any(|(own, text)| {
                text.is_sensitive() && own.as_str().as_bytes().eq_ignore_ascii_case(name) && text.as_bytes() == value
            })
        };
        let mut shown = RequestHead::new(request.method.clone(), request.version, request.target());
        for (name, value) in request.fields.iter() {
            let value = if is_secret(name, value) { FROM_A_VARIABLE.as_bytes() } else { value };
            shown.fields.push_raw(name, value);
        }
        Ok(shown)
    }

    /// The message in the place of this head.
    pub fn translation(&self, head: &RequestHead, upstream: UpstreamId) -> Option<Translation> {
        let spec = self.snapshot.upstreams.get(upstream.index())?;
        let own = self.route.and_then(|route| route.timeouts).unwrap_or_default();
        let brief = Brief {
            client: Some(self.client),
            version: head.version,
            limit: own.over(spec.timeouts).answer,
            end: None,
            remote: remote(self.route, self.template(), head, &RequestId::made(0)),
        };
        Translation::of(&spec.target, head, brief)
    }
}

impl Sent {
    pub fn of(head: &RequestHead) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            method: head.method.to_string(),
            target: text(head.target()),
            headers: head.fields.iter().map(|(name, value)| (text(name), text(value))).collect(),
        }
    }
}
