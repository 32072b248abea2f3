//! The responses that multilith gives itself: a small page for people, problem+json for programs.

use std::fmt::Write as _;

use bytes::Bytes;
use http::StatusCode;

use super::failure::Failure;
use crate::compile::ErrorPage;
use crate::downstream::date;
use crate::message::{Fields, GRPC_MESSAGE, GRPC_STATUS, GrpcStatus, Name, ResponseHead, encode_grpc_message};
use crate::telemetry::RequestId;

/// A response of our own.
pub struct Page {
    pub head: ResponseHead,
    pub body: Bytes,
}

/// Builds the response for a status. `asked`: the request's fields. `retry_after` in seconds. `own`: the page of the file.
pub fn page(
    status: u16,
    detail: &str,
    request_id: &str,
    asked: &Fields,
    retry_after: Option<u64>,
    own: Option<&ErrorPage>,
) -> Page {
    let mut page = if wants_html(asked) {
        let reason = title(status);
        let text =
            own.map_or_else(|| html(status, reason, detail, request_id), |own| own.fill(status, reason, request_id));
        finished(status, "text/html; charset=utf-8", text)
    } else {
        problem(status, detail, request_id)
    };
    if let Some(seconds) = retry_after {
        page.head.fields.set(Name::RetryAfter, seconds.to_string().as_bytes());
    }
    page
}

/// The form for programs (RFC 9457).
pub fn problem(status: u16, detail: &str, request_id: &str) -> Page {
    finished(status, "application/problem+json", problem_text(status, title(status), detail, request_id))
}

/// The form for calls of gRPC: a response of trailers alone, which is a head without a body. `asked`: the request's fields.
pub fn trailers_only(status: u16, detail: &str, asked: &Fields, retry_after: Option<u64>) -> Page {
    let mut head = ResponseHead::new(StatusCode::OK);
    head.fields.append(Name::ContentType, asked.get(Name::ContentType).unwrap_or(b"application/grpc"));
    head.fields.append(GRPC_STATUS, GrpcStatus::from_http(status).code().to_string().as_bytes());
    head.fields.append(GRPC_MESSAGE, &encode_grpc_message(detail));
    if let Some(seconds) = retry_after {
        head.fields.set(Name::RetryAfter, seconds.to_string().as_bytes());
    }
    Page { head, body: Bytes::new() }
}

/// Some words for a program.
pub fn text(status: u16, text: &str) -> Page {
    finished(status, "application/octet-stream", text.to_owned())
}

/// The whole of a response outside any exchange, byte for byte; the connection ends with it.
pub fn own_response(status: u16, request_id: &RequestId) -> Vec<u8> {
    let failure = Failure::Refused { status, reason: "" };
    let mut page = problem(status, failure.detail(), request_id.as_str());
    page.head.fields.set(Name::XRequestId, request_id.as_bytes());
    page.head.fields.set(Name::Date, date::now().as_bytes());
    page.head.fields.set(Name::Connection, b"close");
    if status == 503 {
        page.head.fields.set(Name::RetryAfter, b"1");
    }
    let mut bytes = Vec::new();
    page.head.write(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&page.body);
    bytes
}

fn title(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Error")
}

fn finished(status: u16, kind: &str, text: String) -> Page {
    let body = Bytes::from(text);
    let mut head = ResponseHead::new(StatusCode::from_u16(status).expect("statuses of our own are valid"));
    head.fields.append(Name::ContentType, kind.as_bytes());
    head.fields.append(Name::ContentLength, body.len().to_string().as_bytes());
    head.fields.append(Name::CacheControl, b"no-store");
    Page { head, body }
}

/// A browser names `text/html`; most programs send `*/*` or nothing.
fn wants_html(asked: &Fields) -> bool {
    asked.all(Name::Accept).any(|value| {
        std::str::from_utf8(value).is_ok_and(|text| {
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

    fn accepting(accept: &str) -> Fields {
        [("Accept", accept)].into_iter().collect()
    }

    #[test]
    fn calls_of_grpc_get_a_status_and_no_body() {
        let asked = [("content-type", "application/grpc+proto")].into_iter().collect();
        let page = trailers_only(503, "Try again: 100 %.", &asked, Some(5));
        assert_eq!((page.head.status.as_u16(), page.body.len()), (200, 0));
        let lines: Vec<_> =
            page.head.fields.iter().map(|(name, value)| [name, value].map(<[u8]>::escape_ascii)).collect();
        let lines: Vec<_> = lines.iter().map(|[name, value]| format!("{name}: {value}")).collect();
        let expected = [
            "Content-Type: application/grpc+proto",
            "grpc-status: 14",
            "grpc-message: Try again: 100 %25.",
            "Retry-After: 5",
        ];
        assert_eq!(lines, expected);
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
            let page = page(502, "No.", "abc", &accepting(accept), None, None);
            assert_eq!(page.head.fields.text(Name::ContentType), Some(wanted), "{accept}");
        }
        let none = page(503, "No.", "abc", &Fields::new(), Some(5), None);
        assert_eq!(none.head.fields.text(Name::RetryAfter), Some("5"));
        let json: serde_json::Value = serde_json::from_slice(&none.body).unwrap();
        assert_eq!(json["status"], 503);
        assert_eq!(json["request_id"], "abc");
    }
}
