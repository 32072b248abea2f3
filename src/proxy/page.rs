//! The answers that multilith gives itself: a small page for people, problem+json for programs.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, header};
use pingora::http::ResponseHeader;

use super::failure::Failure;
use crate::telemetry::RequestId;

/// An answer of our own.
pub struct Page {
    pub header: Box<ResponseHeader>,
    pub body: Bytes,
}

/// Builds the answer for a status. `retry_after` in seconds.
pub fn page(status: u16, detail: &str, request_id: &str, accept: &HeaderMap, retry_after: Option<u64>) -> Page {
    let mut page = if wants_html(accept) {
        let text = html(status, title(status), detail, request_id);
        finished(status, "text/html; charset=utf-8", text)
    } else {
        problem(status, detail, request_id)
    };
    if let Some(seconds) = retry_after {
        page.header.insert_header(header::RETRY_AFTER, seconds.to_string()).expect("digits");
    }
    page
}

/// The form for programs (RFC 9457).
pub fn problem(status: u16, detail: &str, request_id: &str) -> Page {
    finished(status, "application/problem+json", problem_text(status, title(status), detail, request_id))
}

/// The whole of an answer outside any exchange, byte for byte; the connection ends with it.
pub fn own_answer(status: u16, fresh: u128) -> Bytes {
    let id = RequestId::made(fresh);
    let failure = Failure::Refused { status, reason: "" };
    let mut page = problem(status, failure.detail(), id.as_str());
    page.header.insert_header("X-Request-Id", id.header_value()).expect("an id is a value");
    page.header.insert_header(header::CONNECTION, "close").expect("a plain ASCII value");
    if status == 503 {
        page.header.insert_header(header::RETRY_AFTER, "1").expect("digits");
    }
    let mut bytes = format!("HTTP/1.1 {status} {}\r\n", title(status)).into_bytes();
    page.header.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&page.body);
    bytes.into()
}

fn title(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Error")
}

fn finished(status: u16, kind: &str, text: String) -> Page {
    let body = Bytes::from(text);
    let mut header = ResponseHeader::build(status, Some(6)).expect("statuses of our own are valid");
    let fields = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, body.len().to_string()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    for (name, value) in fields {
        header.insert_header(name, value).expect("a plain ASCII value");
    }
    Page { header: Box::new(header), body }
}

/// A browser names `text/html`; most programs send `*/*` or nothing.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|text| {
            text.split(',')
                .any(|range| range.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html")))
        })
    })
}

fn html(status: u16, title: &str, detail: &str, request_id: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{status} {title}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem}}\
         small{{color:#666}}</style></head>\n<body><h1>{title}</h1><p>{detail}</p>\
         <p><small>{status} · request {request_id}</small></p></body></html>\n"
    )
}

fn problem_text(status: u16, title: &str, detail: &str, request_id: &str) -> String {
    let mut text = String::with_capacity(160);
    // Titles and details are our own constants and the id was checked: nothing here needs escaping.
    writeln!(
        text,
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{detail}\",\"request_id\":\"{request_id}\"}}"
    )
    .expect("writing to a string");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        headers
    }

    #[test]
    fn browsers_get_html_and_programs_problem_json() {
        let cases = [
            ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
            ("TEXT/HTML", "text/html; charset=utf-8"),
            ("*/*", "application/problem+json"),
            ("application/json", "application/problem+json"),
        ];
        for (accept, wanted) in cases {
            let page = page(502, "No.", "abc", &accepting(accept), None);
            assert_eq!(page.header.headers.get(header::CONTENT_TYPE).unwrap(), wanted, "{accept}");
        }
        let none = page(503, "No.", "abc", &HeaderMap::new(), Some(5));
        assert_eq!(none.header.headers.get(header::RETRY_AFTER).unwrap(), "5");
        let json: serde_json::Value = serde_json::from_slice(&none.body).unwrap();
        assert_eq!(json["status"], 503);
        assert_eq!(json["request_id"], "abc");
    }
}
