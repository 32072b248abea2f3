//! `auth.exchange` and `shadow.credentials`: what a client shows is exchanged for what the service believes (after RFC 8693).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::{HeaderName, Method, Version};
use serde_json::Value;

use super::answers::{Answered, Answers};
use super::forward::{Headers, at_most};
use super::{AuthServerFault, Outage, PATIENCE};
use crate::client::KeepAliveClient;
use crate::endpoint::BadUrl;
use crate::message::{Fields, Name, RequestHead, is_value};
use crate::route::{CredentialSource, Facts, TokenExchange};

/// An answer is a token and a few words.
const LARGEST: usize = 64 * 1024;
/// For log lines.
const WHAT: &str = "exchange";

/// The server that exchanges credentials for one route, or for several with the same rule.
#[derive(Debug)]
pub struct TokenServer {
    asks: Arc<Asks>,
    answers: Arc<Answers<Exchanged>>,
}

#[derive(Debug)]
struct Asks {
    rule: TokenExchange,
    client: KeepAliveClient,
    outage: Outage,
}

/// The result of an exchange.
#[derive(Debug, Clone)]
pub(super) enum Exchanged {
    /// The client shows nothing that could be exchanged.
    Nothing,
    For(Headers),
    /// The server refused the credential, or its answer must not be used.
    Refused,
    NoAnswer,
}

/// The credentials of a request.
enum Shown<'a> {
    Nothing,
    Value(&'a [u8]),
    /// Two values, of which the service might take the other one; or one that no honest client sends.
    Bad,
}

impl TokenServer {
    /// # Errors
    /// The rule's URL is none.
    pub fn new(rule: &TokenExchange) -> Result<Self, BadUrl> {
        let client = KeepAliveClient::new(rule.url.parse()?);
        let asks = Asks { rule: rule.clone(), client, outage: Outage::default() };
        Ok(Self { asks: Arc::new(asks), answers: Answers::new() })
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.asks.rule.set.iter().map(|(name, _)| name)
    }

    /// Exchanges what this request shows. `head`: the client's, cleaned.
    pub(super) async fn exchange(&self, head: &RequestHead) -> Exchanged {
        let value = match shown(&self.asks.rule.from, &head.fields) {
            Shown::Nothing => return Exchanged::Nothing,
            Shown::Bad => return Exchanged::Refused,
            Shown::Value(value) => value,
        };
        let body = form(value);
        let ask = || {
            let (asks, body) = (Arc::clone(&self.asks), body.clone());
            async move { asks.ask(body).await }
        };
        if self.asks.rule.cache.is_none() {
            return ask().await.value;
        }
        let mut tagger = self.answers.tagger();
        tagger.part(b'v', value);
        self.answers.get(tagger.finish(), ask).await.unwrap_or(Exchanged::NoAnswer)
    }
}

impl Asks {
    async fn ask(&self, body: Bytes) -> Answered<Exchanged> {
        let url = self.client.url();
        let mut head = RequestHead::new(Method::POST, Version::HTTP_11, url.target().as_bytes());
        head.fields.append(Name::Host, url.authority().as_bytes());
        head.fields.append("Accept", b"application/json");
        head.fields.append(Name::ContentType, b"application/x-www-form-urlencoded");
        let said = match self.client.ask(&head, Some(body), LARGEST, PATIENCE).await {
            Ok((head, Some(body))) if head.status.is_success() => self.read(&body).ok_or(AuthServerFault::Lacking),
            Ok((head, _)) if head.status.is_client_error() => Ok((Exchanged::Refused, None)),
            Ok((head, _)) => Err(AuthServerFault::Status(head.status.as_u16())),
            Err(error) => Err(error.into()),
        };
        let (value, keep) = match said {
            Ok(said) => {
                self.outage.ended(WHAT, &self.rule.url);
                said
            }
            Err(why) => {
                self.outage.began(WHAT, &self.rule.url, &why);
                (Exchanged::NoAnswer, None)
            }
        };
        Answered { value, keep, shared: true }
    }

    fn read(&self, body: &[u8]) -> Option<(Exchanged, Option<Duration>)> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let mut headers = Vec::with_capacity(self.rule.set.len());
        for (name, template) in &self.rule.set {
            let value = template.fill(|field| plain(answer.get(field)?))?;
            if !is_value(&value) {
                return None;
            }
            headers.push((name.clone(), value.into()));
        }
        let lives = answer.get("expires_in").and_then(Value::as_u64).map(Duration::from_secs);
        Some((Exchanged::For(Arc::new(headers)), at_most(self.rule.cache, lives)))
    }
}

/// The first credential that is present.
fn shown<'a>(from: &'a [CredentialSource], fields: &'a Fields) -> Shown<'a> {
    for source in from {
        let value = match source {
            CredentialSource::Cookie(name) => Facts::cookie_of(fields, name).map(str::as_bytes),
            CredentialSource::Header(name) => {
                let mut values = fields.all(name);
                let first = values.next();
                if values.next().is_some() {
                    return Shown::Bad;
                }
                first.and_then(|value| if *name == http::header::AUTHORIZATION { bearer(value) } else { Some(value) })
            }
        };
        match value {
            Some(value) if value.iter().any(u8::is_ascii_control) => return Shown::Bad,
            Some(value) if !value.is_empty() => return Shown::Value(value),
            _ => {}
        }
    }
    Shown::Nothing
}

/// The token behind `Bearer `; another scheme shows no token.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let scheme = value.get(..SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| value[SCHEME.len()..].trim_ascii())
}

fn plain(field: &Value) -> Option<String> {
    match field {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The form `subject_token=VALUE`.
fn form(value: &[u8]) -> Bytes {
    format!("subject_token={}", byte_serialize(value).collect::<String>()).into()
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;
    use crate::route::ValueTemplate;

    #[test]
    fn the_first_credential_that_is_present_is_exchanged() {
        let from = [CredentialSource::Header(header::AUTHORIZATION), CredentialSource::Cookie("sessionid".into())];
        for (lines, expected) in [
            (&[("Authorization", "Bearer a.b"), ("Cookie", "sessionid=s")][..], Some("a.b")),
            (&[("Authorization", "bearer  a")], Some("a")),
            (&[("Authorization", "Basic a"), ("Cookie", "x=y; sessionid=s")], Some("s")),
            (&[("Authorization", "Bearer "), ("Cookie", "sessionid=\"s\"")], Some("s")),
            (&[("Cookie", "sessionid=")], None),
            (&[], None),
            (&[("Authorization", "Bearer a"), ("Authorization", "Bearer b")], Some("bad")),
            (&[("Authorization", "Bearer a\tb")], Some("bad")),
        ] {
            let fields: Fields = lines.iter().copied().collect();
            let found = match shown(&from, &fields) {
                Shown::Nothing => None,
                Shown::Value(value) => Some(std::str::from_utf8(value).unwrap()),
                Shown::Bad => Some("bad"),
            };
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_value_is_written_as_a_form_has_it() {
        assert_eq!(form(b"a+b/c= &\xe4*"), "subject_token=a%2Bb%2Fc%3D+%26%E4*");
    }

    #[test]
    fn fields_of_the_answer_fill_headers_or_nothing_does() {
        let rule = TokenExchange {
            url: "http://127.0.0.1:1/".into(),
            cache: Some(Duration::from_secs(300)),
            from: Vec::new(),
            set: vec![(header::AUTHORIZATION, ValueTemplate::parse(b"Bearer {token}").unwrap())],
        };
        let server = TokenServer::new(&rule).unwrap();
        let read = |text: &str| match server.asks.read(text.as_bytes()) {
            Some((Exchanged::For(headers), keep)) => {
                Some((String::from_utf8(headers[0].1.to_vec()).unwrap(), keep.unwrap().as_secs()))
            }
            _ => None,
        };
        let found = |value: &str, seconds| Some((value.to_owned(), seconds));
        assert_eq!(read(r#"{"token":"a"}"#), found("Bearer a", 300));
        assert_eq!(read(r#"{"token":7,"expires_in":60}"#), found("Bearer 7", 60));
        assert_eq!(read(r#"{"token":"a","expires_in":3600}"#), found("Bearer a", 300));
        for text in
            [r#"{"token":null}"#, r#"{"token":["a"]}"#, r#"{"access_token":"a"}"#, r#"{"token":"a\r\nb: c"}"#, "<html>"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
