//! Two answers to one request, as the claims about comparing make them.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use multilith::compare::{Body, ComparedRequest, ComparedResponse, Outcome, Rules, compare};

/// Held by the request; what is kept of a comparison holds none of them.
pub const SECRETS: [&str; 2] = ["tok-5up3r-s3cret", "sess-0123456789"];

/// An answer of 200 with this body.
pub fn answer(media: &'static str, coding: &'static str, body: &[u8]) -> ComparedResponse {
    let mut headers = HeaderMap::new();
    for (name, value) in [(CONTENT_TYPE, media), (CONTENT_ENCODING, coding)] {
        if !value.is_empty() {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    let body = if body.is_empty() { Body::None } else { Body::Whole(Bytes::copy_from_slice(body)) };
    ComparedResponse { status: StatusCode::OK, headers, body }
}

/// Those of the request, with secrets.
pub fn headers_of_request() -> HeaderMap {
    let bearer = format!("Bearer {}", SECRETS[0]);
    let cookie = format!("theme=dark; sid={}", SECRETS[1]);
    let value = |text: &str| HeaderValue::from_str(text).expect("text");
    HeaderMap::from_iter([(AUTHORIZATION, value(&bearer)), (COOKIE, value(&cookie))])
}

/// The comparison of two answers to one request.
pub fn compared(a: &ComparedResponse, b: &ComparedResponse, rules: &Rules) -> Outcome {
    let headers = headers_of_request();
    let request = ComparedRequest { method: &Method::GET, target: "/?p=1", headers: &headers, body: b"" };
    compare(&request, a, b, rules)
}
