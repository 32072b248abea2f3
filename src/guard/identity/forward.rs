//! `auth.forward`: another server, mostly the monolith with its sessions, lets a request pass or answers it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, Version};

use super::answers::{Answered, Answers, Tag};
use super::{AuthServerFault, Outage, PATIENCE};
use crate::client::KeepAliveClient;
use crate::endpoint::BadUrl;
use crate::guard::headers::ForwardedHeaders;
use crate::message::{Name, RequestHead, ResponseHead, elements};
use crate::route::{CacheBy, ForwardAuth};

/// A longer answer is none: it would have to be held.
const LARGEST: usize = 1024 * 1024;
/// Headers that together are longer are used once.
const KEPT_BYTES: usize = 8 * 1024;
/// For log lines.
const WHAT: &str = "auth.forward";

/// The server that one route, or several with the same rule, asks.
#[derive(Debug)]
pub struct AuthServer {
    asks: Arc<Asks>,
    answers: Arc<Answers<Said>>,
}

#[derive(Debug)]
struct Asks {
    rule: ForwardAuth,
    client: KeepAliveClient,
    outage: Outage,
}

/// The headers that go along.
pub(super) type Headers = Arc<Vec<(HeaderName, Box<[u8]>)>>;

/// The server's answer about a request.
#[derive(Debug, Clone)]
pub(super) enum Said {
    Passes(Headers),
    /// This is the client's answer.
    Denied(Arc<Denial>),
    NoAnswer,
}

/// The answer to a request that was not let pass.
#[derive(Debug)]
pub struct Denial {
    pub head: ResponseHead,
    pub body: Bytes,
}

impl AuthServer {
    /// # Errors
    /// The rule's URL is none.
    pub fn new(rule: &ForwardAuth) -> Result<Self, BadUrl> {
        let client = KeepAliveClient::new(rule.url.parse()?);
        let asks = Asks { rule: rule.clone(), client, outage: Outage::default() };
        Ok(Self { asks: Arc::new(asks), answers: Answers::new() })
    }

    pub(super) fn headers(&self) -> &[HeaderName] {
        &self.asks.rule.headers
    }

    /// Asks whether this request passes. `head`: the client's, cleaned.
    pub(super) async fn ask(&self, head: &RequestHead, forwarded: Option<&ForwardedHeaders>) -> Said {
        let asked = || {
            let (asks, question) = (Arc::clone(&self.asks), self.asks.question(head, forwarded));
            async move { asks.ask(&question).await }
        };
        match self.tag(head) {
            Some(tag) => self.answers.get(tag, asked).await.unwrap_or(Said::NoAnswer),
            // An answer to a request without credentials is valid for that request only.
            None => asked().await.value,
        }
    }

    /// The key under which an answer is kept; `None`: it is not kept.
    fn tag(&self, head: &RequestHead) -> Option<Tag> {
        self.asks.rule.cache?;
        let fields = &head.fields;
        let shows = fields.has(Name::Cookie) || fields.has(Name::Authorization);
        if !shows {
            return None;
        }
        let mut tagger = self.answers.tagger();
        for (kind, name) in [(b'c', Name::Cookie), (b'a', Name::Authorization), (b'h', Name::Host)] {
            for value in fields.all(name) {
                tagger.part(kind, value);
            }
        }
        if self.asks.rule.by == CacheBy::Request {
            tagger.part(b'm', head.method.as_str().as_bytes());
            // The server is told the query as well, and may decide by it.
            tagger.part(b't', head.target());
        }
        Some(tagger.finish())
    }
}

impl Asks {
    /// The request that the server is sent.
    fn question(&self, head: &RequestHead, forwarded: Option<&ForwardedHeaders>) -> RequestHead {
        let url = self.client.url();
        let mut question = RequestHead::new(Method::GET, Version::HTTP_11, url.target().as_bytes());
        match head.fields.get(Name::Host).filter(|host| !host.is_empty()) {
            Some(host) => question.fields.append(Name::Host, host),
            None => question.fields.append(Name::Host, url.authority().as_bytes()),
        }
        for (name, text, value) in head.fields.named() {
            if matches!(name, Name::Cookie | Name::Authorization | Name::Forwarded) || is_forwarding(text) {
                question.fields.push_raw(text, value);
            }
        }
        if let Some(forwarded) = forwarded {
            forwarded.write(&mut question.fields);
        }
        question.fields.set("X-Forwarded-Method", head.method.as_str().as_bytes());
        question.fields.set("X-Forwarded-Uri", head.target());
        question
    }

    async fn ask(&self, question: &RequestHead) -> Answered<Said> {
        let url = &*self.rule.url;
        let said = match self.client.ask(question, None, LARGEST, PATIENCE).await {
            Ok((head, body)) if head.status.is_success() => {
                let headers = self.headers_of(&head);
                let weight: usize = headers.iter().map(|(_, value)| value.len()).sum();
                let keep = self.rule.cache.filter(|_| is_for_others(&head) && weight <= KEPT_BYTES);
                drop(body);
                Ok((Said::Passes(Arc::new(headers)), keep, is_for_others(&head)))
            }
            Ok((head, Some(body))) => {
                let shared = is_for_others(&head);
                Ok((Said::Denied(Arc::new(Denial { head, body: body.into() })), None, shared))
            }
            Ok((_, None)) => Err(AuthServerFault::TooLarge(LARGEST)),
            Err(error) => Err(error.into()),
        };
        match said {
            Ok((value, keep, shared)) => {
                self.outage.ended(WHAT, url);
                Answered { value, keep, shared }
            }
            Err(why) => {
                self.outage.began(WHAT, url, &why);
                Answered { value: Said::NoAnswer, keep: None, shared: true }
            }
        }
    }

    fn headers_of(&self, head: &ResponseHead) -> Vec<(HeaderName, Box<[u8]>)> {
        let named = self.rule.headers.iter();
        named.flat_map(|name| head.fields.all(name).map(|value| (name.clone(), value.into()))).collect()
    }
}

fn is_forwarding(name: &[u8]) -> bool {
    const FAMILY: &[u8] = b"x-forwarded-";
    name.get(..FAMILY.len()).is_some_and(|start| start.eq_ignore_ascii_case(FAMILY))
}

/// Whether another request with the same credentials may have it. A cookie is one client's; `no-store` says it.
fn is_for_others(head: &ResponseHead) -> bool {
    let no_store = |directive: &[u8]| directive.trim_ascii().eq_ignore_ascii_case(b"no-store");
    !head.fields.has(Name::SetCookie) && !head.fields.all(Name::CacheControl).flat_map(elements).any(no_store)
}

/// The time for which an answer holds that says itself how long.
pub(super) fn at_most(cache: Option<Duration>, own: Option<Duration>) -> Option<Duration> {
    cache.map(|cache| own.map_or(cache, |own| own.min(cache)))
}
