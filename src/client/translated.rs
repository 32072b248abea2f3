//! The context of a translated request, and the response that comes of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode, Version};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::message::{Framing, Name, Piece, RequestHead, ResponseHead};
use crate::route::{Arguments, BadArguments, RemoteCall};

/// The facts of a request, beside its head, for a target that is not a server of HTTP.
#[derive(Debug, Clone)]
pub struct Brief {
    pub client: Option<IpAddr>,
    /// The client's HTTP version.
    pub version: Version,
    /// How long is waited for the answer.
    pub limit: Option<Duration>,
    /// No attempt lasts longer.
    pub end: Option<Instant>,
    /// Where the service is asked by method and arguments.
    pub remote: Option<Box<RemoteBrief>>,
}

/// A call of a method.
#[derive(Debug, Clone)]
pub struct RemoteBrief {
    pub call: Arc<RemoteCall>,
    pub arguments: Result<Arguments, BadArguments>,
    pub context: CallContext,
}

/// The context of a call, beside its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// The caller's name, for the service's logs.
    pub call_id: String,
    /// The subject of the client's token.
    pub user: Option<String>,
    /// Of the trace that the call is part of.
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
}

impl Default for Brief {
    fn default() -> Self {
        Self { client: None, version: Version::HTTP_11, limit: None, end: None, remote: None }
    }
}

/// The event or the call that a request becomes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Translation {
    /// `lambda` or `nameko`.
    pub target: &'static str,
    /// The line of the request that carries an event, or the routing key and the exchange of a call.
    pub to: String,
    /// A call that has not begun by then does not begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<f64>,
    /// The headers beside the message.
    pub headers: Map<String, Value>,
    /// `null`: the request is refused.
    pub message: Value,
    /// Status and reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The reason why no translation takes this request: the label of `refused_total`.
pub(super) fn refused(head: &RequestHead) -> Option<&'static str> {
    if head.fields.has(Name::Upgrade) && head.fields.has(Name::Connection) {
        return Some("upgrade");
    }
    (crate::message::is_call(&head.fields) || head.method == Method::CONNECT).then_some("unsupported")
}

/// A whole response that was translated.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) head: ResponseHead,
    pub(super) body: Bytes,
    framing: Framing,
}

impl Answered {
    /// The length is ours, but that of a response without its body.
    pub(super) fn new(mut head: ResponseHead, body: Bytes, method: &Method) -> Self {
        let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if method == Method::HEAD {
            if body.is_empty() {
                return Self { head, body, framing: Framing::None };
            }
            head.fields.set(Name::ContentLength, body.len().to_string().as_bytes());
            return Self { head, body: Bytes::new(), framing: Framing::None };
        }
        head.fields.remove(Name::ContentLength);
        if bodiless {
            return Self { head, body: Bytes::new(), framing: Framing::None };
        }
        let framing = Framing::Length(body.len() as u64);
        Self { head, body, framing }
    }

    /// The target failed; the client is not told its reason.
    pub(super) fn failed(status: StatusCode) -> Self {
        let mut head = ResponseHead::new(status);
        head.fields.append(Name::ContentType, b"application/problem+json");
        let title = status.canonical_reason().unwrap_or_default();
        let body = serde_json::json!({ "type": "about:blank", "title": title, "status": status.as_u16() });
        Self::new(head, body.to_string().into(), &Method::GET)
    }

    pub(super) fn pass(self) -> (ResponseHead, Passing) {
        (self.head, Passing { body: Some(self.body), framing: self.framing })
    }
}

/// The body of a translated response on its way.
#[derive(Debug)]
pub(super) struct Passing {
    body: Option<Bytes>,
    framing: Framing,
}

impl Passing {
    pub(super) const fn framing(&self) -> Framing {
        self.framing
    }

    /// The body, then its end.
    pub(super) fn next(&mut self) -> Piece {
        self.body.take().filter(|body| !body.is_empty()).map_or(Piece::End, Piece::Data)
    }
}
