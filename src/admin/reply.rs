//! The answers of the admin listener.

use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use serde::Serialize;

/// One answer.
pub struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    allow: Option<&'static str>,
}

impl Reply {
    pub fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, body, allow: None }
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
    }

    pub fn html(body: &str) -> Self {
        Self::new(200, "text/html; charset=utf-8", body.as_bytes().to_vec())
    }

    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let mut body = serde_json::to_vec_pretty(value).expect("answers of our own serialise");
        body.push(b'\n');
        Self::new(status, "application/json", body)
    }

    /// RFC 9457.
    pub fn problem(status: u16, detail: &str) -> Self {
        let title = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Error");
        let value = serde_json::json!({ "type": "about:blank", "title": title, "status": status, "detail": detail });
        let mut body = serde_json::to_vec(&value).expect("a JSON value serialises");
        body.push(b'\n');
        Self::new(status, "application/problem+json", body)
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
        Self::new(status, "application/problem+json", body)
    }

    pub fn not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::problem(405, &format!("this path takes {allow}")) }
    }

    pub async fn send(self, session: &mut ServerSession, head_only: bool) -> Result<()> {
        let mut head = ResponseHeader::build(self.status, Some(6))?;
        head.insert_header(header::CONTENT_TYPE, self.content_type)?;
        head.insert_header(header::CONTENT_LENGTH, self.body.len())?;
        head.insert_header(header::CACHE_CONTROL, "no-store")?;
        // What this listener says is never a page of another site's frame, nor a script.
        head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        head.insert_header(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        )?;
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
