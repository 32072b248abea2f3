//! The answers of the admin listener.

use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No inline script, no inline style, nothing from anywhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// RFC 9457.
const PROBLEM: &str = "application/problem+json";

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    allow: Option<&'static str>,
    /// Other fields: cookies, places.
    fields: Vec<(http::HeaderName, String)>,
    /// It never changes: its address has its hash.
    immutable: bool,
}

impl Reply {
    pub fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, body, allow: None, fields: Vec::new(), immutable: false }
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
    }

    pub fn html(status: u16, body: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", body.into_bytes())
    }

    /// To be looked for at another place, by GET.
    pub fn see_other(place: String) -> Self {
        Self::new(303, "text/plain; charset=utf-8", Vec::new()).with(header::LOCATION, place)
    }

    /// Always to be asked for at another place, as it was asked for here.
    pub fn moved(place: String) -> Self {
        Self::new(308, "text/plain; charset=utf-8", Vec::new()).with(header::LOCATION, place)
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: http::HeaderName, value: String) -> Self {
        self.fields.push((name, value));
        self
    }

    /// It may be kept for ever.
    #[must_use]
    pub fn for_ever(mut self) -> Self {
        self.immutable = true;
        self
    }

    pub const fn status(&self) -> u16 {
        self.status
    }

    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let mut body = serde_json::to_vec_pretty(value).expect("answers of our own serialise");
        body.push(b'\n');
        Self::new(status, "application/json", body)
    }

    /// A body of JSON, or what to answer to one that is not of this `shape`.
    pub fn read<T: DeserializeOwned>(body: &[u8], shape: &str) -> std::result::Result<T, Self> {
        serde_json::from_slice(body).map_err(|error| Self::problem(400, &format!("the body {shape}: {error}")))
    }

    /// The answer of work that is done away from the listener's threads; `failed`: what is said where it ended in a panic.
    pub async fn of_work(work: impl FnOnce() -> Self + Send + 'static, failed: &str) -> Self {
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Self::problem(500, failed))
    }

    /// RFC 9457.
    pub fn problem(status: u16, detail: &str) -> Self {
        let title = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Error");
        let value = serde_json::json!({ "type": "about:blank", "title": title, "status": status, "detail": detail });
        let mut body = serde_json::to_vec(&value).expect("a JSON value serialises");
        body.push(b'\n');
        Self::new(status, PROBLEM, body)
    }

    /// The same with members of its own.
    pub fn problem_with(status: u16, detail: &str, more: &serde_json::Value) -> Self {
        let title = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Error");
        let mut value =
            serde_json::json!({ "type": "about:blank", "title": title, "status": status, "detail": detail });
        for (name, member) in more.as_object().into_iter().flatten() {
            value[name] = member.clone();
        }
        let mut body = serde_json::to_vec(&value).expect("a JSON value serialises");
        body.push(b'\n');
        Self::new(status, PROBLEM, body)
    }

    /// Why it was refused; `None`: it is no problem.
    pub fn detail(&self) -> Option<String> {
        if self.content_type != PROBLEM {
            return None;
        }
        let value: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        value["detail"].as_str().map(str::to_owned)
    }

    /// The same answer with a page for people as its body.
    #[must_use]
    pub fn drawn(self, page: String) -> Self {
        Self { content_type: "text/html; charset=utf-8", body: page.into_bytes(), ..self }
    }

    pub fn not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::problem(405, &format!("this path takes {allow}")) }
    }

    pub async fn send(self, session: &mut ServerSession, head_only: bool) -> Result<()> {
        let mut head = ResponseHeader::build(self.status, Some(10))?;
        head.insert_header(header::CONTENT_TYPE, self.content_type)?;
        head.insert_header(header::CONTENT_LENGTH, self.body.len())?;
        let kept = if self.immutable { "public, max-age=31536000, immutable" } else { "no-store" };
        head.insert_header(header::CACHE_CONTROL, kept)?;
        // A reply of this listener is never a page of another site's frame, and runs no script but its own.
        head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        head.insert_header(header::CONTENT_SECURITY_POLICY, POLICY)?;
        // With `no-referrer` browsers send `Origin: null` with our own forms, too.
        head.insert_header(header::REFERRER_POLICY, "same-origin")?;
        head.insert_header("cross-origin-opener-policy", "same-origin")?;
        head.insert_header("cross-origin-resource-policy", "same-origin")?;
        for (name, value) in &self.fields {
            head.append_header(name.clone(), value.as_str())?;
        }
        if let Some(allow) = self.allow {
            head.insert_header(header::ALLOW, allow)?;
        }
        if self.status == 401 {
            head.insert_header(header::WWW_AUTHENTICATE, "Bearer realm=\"multilith\"")?;
        }
        session.write_response_header(Box::new(head)).await?;
        if !head_only {
            session.write_response_body(self.body.into(), true).await?;
        }
        Ok(())
    }
}

pub fn unknown_route() -> Reply {
    Reply::problem(404, "there is no such route")
}

pub fn compares_nothing(route: &str) -> Reply {
    Reply::problem(404, &nothing_compared(route))
}

/// Why there is no evidence of a route.
pub fn nothing_compared(route: &str) -> String {
    format!("this route compares nothing: give it [routes.{route}.shadow.compare]")
}
