//! A service's reply as an HTTP response.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::translated::Answered;
use crate::message::{Name, ResponseHead};
use crate::route::RemoteCall;

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
    error: Option<Raised>,
}

/// The exception's own text is not read: it is not for the client.
#[derive(Deserialize)]
struct Raised {
    exc_path: Option<Box<str>>,
}

/// Raised by Nameko itself before the method ran.
const WRONG_ARGUMENTS: &str = "nameko.exceptions.IncorrectSignature";
/// Faults between us and the service, none of the client's.
const OURS: [&str; 3] = [
    "nameko.exceptions.MethodNotFound",
    "nameko.exceptions.MalformedRequest",
    "nameko.exceptions.UnserializableValueError",
];

/// The result alone, or the status that the route has for the exception.
pub(super) fn answered(reply: &[u8], call: &RemoteCall, method: &Method) -> Answered {
    let Ok(reply) = serde_json::from_slice::<Reply<'_>>(reply) else {
        return Answered::failed(StatusCode::BAD_GATEWAY);
    };
    if let Some(raised) = reply.error {
        let path = raised.exc_path.as_deref().unwrap_or_default();
        return Answered::failed(status_of(path, call));
    }
    let mut head = ResponseHead::new(StatusCode::from_u16(call.status).unwrap_or(StatusCode::OK));
    head.fields.append(Name::ContentType, b"application/json");
    Answered::new(head, Bytes::copy_from_slice(reply.result.get().as_bytes()), method)
}

fn status_of(exception: &str, call: &RemoteCall) -> StatusCode {
    if let Some(status) = call.status_of(exception).and_then(|status| StatusCode::from_u16(status).ok()) {
        return status;
    }
    if OURS.contains(&exception) {
        tracing::warn!(method = &*call.method, exception, "a call that the service does not understand");
        return StatusCode::BAD_GATEWAY;
    }
    if exception == WRONG_ARGUMENTS { StatusCode::BAD_REQUEST } else { StatusCode::INTERNAL_SERVER_ERROR }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reply: &str) -> (u16, String) {
        let call = RemoteCall {
            method: "hello".into(),
            args: Vec::new(),
            kwargs: Vec::new(),
            status: 201,
            errors: vec![("orders.exceptions.NotFound".into(), 404)],
        };
        let answered = answered(reply.as_bytes(), &call, &Method::GET);
        (answered.head.status.as_u16(), String::from_utf8(answered.body.to_vec()).expect("text"))
    }

    /// The table of what was seen of Nameko 2.14.
    #[test]
    fn each_reply_has_its_status_and_no_exception_reaches_the_client() {
        let raised = |path: &str| {
            of(&format!(
                r#"{{"result": null, "error": {{"exc_type": "E", "exc_path": "{path}", "exc_args": ["secret"], "value": "secret"}}}}"#
            ))
        };
        assert_eq!(of(r#"{"result": "Hello, Zo\u00eb?", "error": null}"#), (201, r#""Hello, Zo\u00eb?""#.to_owned()));
        assert_eq!(of(r#"{"result": null, "error": null}"#), (201, "null".to_owned()));
        assert_eq!(of(r#"{"error": null, "result": {"a": 1.50}}"#), (201, r#"{"a": 1.50}"#.to_owned()), "as it came");
        for (path, status) in [
            ("nameko.exceptions.IncorrectSignature", 400),
            ("nameko.exceptions.MethodNotFound", 502),
            ("nameko.exceptions.MalformedRequest", 502),
            ("nameko.exceptions.UnserializableValueError", 502),
            ("builtins.ValueError", 500),
            ("orders.exceptions.NotFound", 404),
        ] {
            let (found, body) = raised(path);
            assert_eq!(found, status, "{path}");
            assert!(!body.contains("secret"), "{body}");
        }
        for reply in ["", "[]", "{}", r#"{"result": NaN, "error": null}"#] {
            assert_eq!(of(reply).0, 502, "{reply}");
        }
    }
}
