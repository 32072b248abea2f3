//! A function's answer as an HTTP response.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::translated::Answered;
use super::super::{NotRun, UpstreamFault};
use crate::endpoint::EventVersion;
use crate::message::{Name, ResponseHead, is_value};

/// Headers of Invoke beside the payload.
const FUNCTION_ERROR: &str = "X-Amz-Function-Error";
const ERROR_TYPE: &str = "X-Amzn-ErrorType";

/// The error messages of a function that ran out of time, at Lambda and at serverless-offline.
const TIMED_OUT: [&str; 2] = ["Task timed out", "Lambda timeout"];

/// The response for the client, or why there is none.
pub(super) fn answered(
    version: EventVersion,
    head: &ResponseHead,
    payload: Bytes,
    method: &Method,
) -> Result<Answered, UpstreamFault> {
    match head.status.as_u16() {
        200 if head.fields.has(FUNCTION_ERROR) => Ok(Answered::failed(if has_timed_out(&payload) {
            StatusCode::GATEWAY_TIMEOUT
        } else {
            StatusCode::BAD_GATEWAY
        })),
        200 => {
            Ok(payload_response(version, payload, method).unwrap_or_else(|| Answered::failed(StatusCode::BAD_GATEWAY)))
        }
        404 => Err(UpstreamFault::NotRun(NotRun::Unknown)),
        429 => Err(UpstreamFault::NotRun(NotRun::Throttled)),
        413 => Err(super::TOO_LARGE),
        // Our own configuration: a signature, a permission, a name that cannot be one.
        400..=499 => Err(UpstreamFault::NotRun(NotRun::Denied)),
        // The function may have run.
        _ => Err(UpstreamFault::closed()),
    }
}

/// The service's word for an error, for the operator: never the function's own text.
pub(super) fn complaint(head: &ResponseHead) -> String {
    let kind = head.fields.text(ERROR_TYPE).unwrap_or("no error type");
    format!("status {}: {kind}", head.status.as_u16())
}

fn has_timed_out(payload: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raised<'a> {
        #[serde(borrow)]
        error_message: Option<std::borrow::Cow<'a, str>>,
    }
    serde_json::from_slice::<Raised<'_>>(payload).is_ok_and(|raised| {
        raised.error_message.is_some_and(|message| TIMED_OUT.iter().any(|words| message.contains(words)))
    })
}

/// `None`: it is malformed.
fn payload_response(version: EventVersion, payload: Bytes, method: &Method) -> Option<Answered> {
    let value: Value = serde_json::from_slice(&payload).ok()?;
    match (value, version) {
        (Value::Object(response), _) if response.contains_key("statusCode") => formed(&response, version, method),
        (_, EventVersion::V1) => None,
        (_, EventVersion::V2) => {
            let mut head = ResponseHead::new(StatusCode::OK);
            head.fields.append(Name::ContentType, b"application/json");
            Some(Answered::new(head, payload, method))
        }
    }
}

fn formed(response: &Map<String, Value>, version: EventVersion, method: &Method) -> Option<Answered> {
    let status = match &response["statusCode"] {
        Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let status = StatusCode::from_u16(status).ok().filter(|status| !status.is_informational())?;
    let mut head = ResponseHead::new(status);
    let empty = Map::new();
    let several = match version {
        EventVersion::V1 => object(response.get("multiValueHeaders"), &empty)?,
        EventVersion::V2 => &empty,
    };
    for (name, value) in object(response.get("headers"), &empty)? {
        if !several.keys().any(|known| known.eq_ignore_ascii_case(name)) {
            append(&mut head, name, value)?;
        }
    }
    for (name, values) in several {
        for value in values.as_array()? {
            append(&mut head, name, value)?;
        }
    }
    if let (EventVersion::V2, Some(cookies)) = (version, response.get("cookies").filter(|cookies| !cookies.is_null())) {
        for cookie in cookies.as_array()? {
            append(&mut head, "Set-Cookie", cookie)?;
        }
    }
    let encoded = response.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or(false);
    let body = match response.get("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) if encoded => STANDARD.decode(text).ok()?.into(),
        Some(Value::String(text)) => Bytes::copy_from_slice(text.as_bytes()),
        // API Gateway writes what is no text as JSON.
        Some(other) => other.to_string().into(),
    };
    Some(Answered::new(head, body, method))
}

fn object<'a>(value: Option<&'a Value>, empty: &'a Map<String, Value>) -> Option<&'a Map<String, Value>> {
    match value {
        None | Some(Value::Null) => Some(empty),
        Some(value) => value.as_object(),
    }
}

/// `None`: it is no field of HTTP. Fields about the connection are ours.
fn append(head: &mut ResponseHead, name: &str, value: &Value) -> Option<()> {
    let value = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return None,
    };
    let value = value.trim();
    http::HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| is_value(value.as_bytes()))?;
    match Name::of(name.as_bytes()) {
        Name::Connection
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::TransferEncoding
        | Name::Te
        | Name::Trailer
        | Name::Upgrade => {}
        Name::Other => head.fields.append(name, value.as_bytes()),
        // In the usual spelling.
        known => head.fields.append(known, value.as_bytes()),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(
        version: EventVersion,
        status: u16,
        fields: &[(&str, &str)],
        payload: &Value,
    ) -> Result<(u16, String, Vec<u8>), UpstreamFault> {
        let mut head = ResponseHead::new(StatusCode::from_u16(status).expect("a status"));
        for (name, value) in fields {
            head.fields.append(*name, value.as_bytes());
        }
        let answered = answered(version, &head, payload.to_string().into(), &Method::GET)?;
        let mut lines = Vec::new();
        answered.head.fields.write(&mut lines);
        let lines = String::from_utf8(lines).expect("text").replace("\r\n", "\n");
        Ok((answered.head.status.as_u16(), lines, answered.body.to_vec()))
    }

    #[test]
    fn an_answer_with_a_status_is_that_response() {
        let payload = json!({
            "statusCode": 201, "cookies": ["a=1; Path=/", "b=2; HttpOnly"], "headers": { "content-type": "text/x",
            "x-a": 1, "connection": "close", "content-length": "999" }, "body": "AP8=", "isBase64Encoded": true,
            "multiValueHeaders": { "x-b": ["1", "2"] },
        });
        let (status, lines, body) = of(EventVersion::V2, 200, &[], &payload).expect("a response");
        assert_eq!((status, body), (201, vec![0, 255]));
        let cookies = "Set-Cookie: a=1; Path=/\nSet-Cookie: b=2; HttpOnly\n";
        assert_eq!(lines, format!("Content-Type: text/x\nx-a: 1\n{cookies}"), "without the length, which is ours");
        let payload = json!({
            "statusCode": "200", "headers": { "X-Multi": "last", "X-One": "1" }, "cookies": ["not=here"],
            "multiValueHeaders": { "x-multi": ["one", "two"], "Set-Cookie": ["a=1", "b=2"] }, "body": "text",
        });
        let (status, lines, body) = of(EventVersion::V1, 200, &[], &payload).expect("a response");
        assert_eq!((status, &*body), (200, &b"text"[..]));
        assert_eq!(lines, "X-One: 1\nx-multi: one\nx-multi: two\nSet-Cookie: a=1\nSet-Cookie: b=2\n");
    }

    #[test]
    fn anything_else_is_the_body_in_version_2_and_malformed_in_version_1() {
        let payload = json!({ "items": [1] });
        let found = of(EventVersion::V2, 200, &[], &payload).expect("a response");
        assert_eq!(found, (200, "Content-Type: application/json\n".to_owned(), br#"{"items":[1]}"#.to_vec()));
        assert_eq!(of(EventVersion::V1, 200, &[], &payload).expect("a response").0, 502);
        for payload in [
            json!({ "statusCode": "many" }),
            json!({ "statusCode": 101 }),
            json!({ "statusCode": 200, "body": "?", "isBase64Encoded": true }),
            json!({ "statusCode": 200, "headers": { "x": "a\r\nb" } }),
            json!({ "statusCode": 200, "headers": { "a b": "c" } }),
            json!({ "statusCode": 200, "headers": [] }),
        ] {
            assert_eq!(of(EventVersion::V2, 200, &[], &payload).expect("a response").0, 502, "{payload}");
        }
    }

    #[test]
    fn what_a_function_raised_never_reaches_the_client() {
        let raised = json!({ "errorMessage": "secret", "errorType": "ValueError", "stackTrace": ["secret"] });
        let late = json!({ "errorMessage": "2026-11-28T09:00:00Z id Task timed out after 3.00 seconds" });
        for (payload, status) in [(raised, 502), (late, 504), (json!(null), 502)] {
            for kind in ["Unhandled", "Handled"] {
                let found = of(EventVersion::V2, 200, &[(FUNCTION_ERROR, kind)], &payload).expect("a response");
                assert_eq!(found.0, status);
                assert!(!String::from_utf8_lossy(&found.2).contains("secret"));
            }
        }
    }

    #[test]
    fn what_did_not_run_is_told_from_what_may_have() {
        let fault = |status| of(EventVersion::V2, status, &[], &json!({})).expect_err("no response");
        assert!(matches!(fault(404), UpstreamFault::NotRun(NotRun::Unknown)));
        assert!(matches!(fault(429), UpstreamFault::NotRun(NotRun::Throttled)));
        assert!(matches!(fault(403), UpstreamFault::NotRun(NotRun::Denied)));
        assert!(matches!(fault(400), UpstreamFault::NotRun(NotRun::Denied)));
        assert!(matches!(fault(413), UpstreamFault::Refused { status: 413, .. }));
        for status in [500, 502, 503, 504, 302] {
            assert!(matches!(fault(status), UpstreamFault::Ended(_)), "{status}");
        }
    }
}
