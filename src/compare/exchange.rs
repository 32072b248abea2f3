//! A request with the monolith's answer, redacted, to be exported as a test.

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use super::Millis;
use super::body::text_of;
use super::json::Json;
use super::media::Media;
use super::redact::{REDACTED, Redactor, Secrets};
use super::response::{ComparedRequest, ComparedResponse};
use super::rules::{Headers, Rules};
use super::verdict::Outcome;
use crate::message::{form_pairs, percent_encoded};
use crate::migration::Examples;

/// Bytes of a body; a larger one is left out of the export.
const MAX_BODY: u64 = 16 * 1024;

/// Headers of the connection, of a hop before us, or of the client's tracing.
const NOT_KEPT: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
const NOT_KEPT_PREFIXES: [&str; 5] = ["x-forwarded-", "x-multilith-", "x-request-id", "forwarded", "trace"];

/// The kept parts of one request and the monolith's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptExchange {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) status: u16,
    /// The compared headers alone.
    pub(super) answer_headers: Vec<(String, String)>,
    /// The answer's JSON; other bodies are not kept.
    pub(super) answer: Option<String>,
    /// The fields in which the service differed.
    pub(super) fields: Vec<String>,
    pub(super) at: Millis,
    /// The request's number; 0 of those that were answered alike.
    #[serde(default)]
    pub(super) number: u64,
}

impl KeptExchange {
    /// `None` unless the rules allow values, and where the request could not be sent again as it was: a body that is not
    /// kept leaves a test that asks something else.
    pub fn redacted(
        request: &ComparedRequest<'_>,
        control: &ComparedResponse,
        outcome: &Outcome,
        rules: &Rules,
        now: Millis,
    ) -> Option<Self> {
        let is_word = request.method.as_str().bytes().all(|byte| byte.is_ascii_uppercase());
        if rules.examples() != Examples::Values || !is_word {
            return None;
        }
        let redactor = rules.redactor();
        let mut secrets = redactor.secrets(request, [&control.headers]);
        let answer = text_of(&control.body, &control.headers, MAX_BODY);
        for text in [answer.as_deref(), std::str::from_utf8(request.body).ok()].into_iter().flatten() {
            if let Some(document) = Json::parse(text) {
                redactor.learn(&document, &mut secrets);
            }
        }
        let is_kept = |name: &HeaderName| {
            !NOT_KEPT.contains(name) && !NOT_KEPT_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
        };
        let body = request_body(request, redactor, &secrets);
        if body.is_none() && !request.body.is_empty() {
            return None;
        }
        Some(Self {
            method: request.method.to_string(),
            target: redactor.target(request.target, &secrets),
            headers: kept_headers(request.headers, is_kept, redactor, &secrets),
            body,
            status: control.status.as_u16(),
            answer_headers: kept_headers(&control.headers, |name| is_told(name, rules), redactor, &secrets),
            answer: answer.and_then(|text| json(&text, redactor, &secrets)),
            fields: outcome.differences.iter().map(|found| redactor.text(&found.field, &secrets)).collect(),
            at: now,
            number: 0,
        })
    }
}

/// The headers that a test of the service can hold it to.
fn is_told(name: &HeaderName, rules: &Rules) -> bool {
    match rules.headers() {
        Headers::Named(names) => names.contains(name),
        Headers::Usual | Headers::All => {
            matches!(name.as_str(), "content-type" | "location" | "cache-control" | "content-language" | "allow")
        }
    }
}

fn kept_headers(
    headers: &HeaderMap,
    is_kept: impl Fn(&HeaderName) -> bool,
    redactor: &Redactor,
    secrets: &Secrets,
) -> Vec<(String, String)> {
    let kept = headers.iter().filter(|(name, _)| is_kept(name));
    kept.map(|(name, value)| {
        let value = if redactor.hides_header(name) {
            REDACTED.to_owned()
        } else {
            redactor.text(&String::from_utf8_lossy(value.as_bytes()), secrets)
        };
        (name.to_string(), value)
    })
    .collect()
}

fn json(text: &str, redactor: &Redactor, secrets: &Secrets) -> Option<String> {
    let mut out = String::new();
    redactor.json(&Json::parse(text)?, secrets).write(&mut out);
    Some(out)
}

/// JSON and forms have fields to redact; nothing else is kept.
fn request_body(request: &ComparedRequest<'_>, redactor: &Redactor, secrets: &Secrets) -> Option<String> {
    if request.body.is_empty() || request.body.len() as u64 > MAX_BODY || !request.headers.contains_key(CONTENT_TYPE) {
        return None;
    }
    match Media::of(request.headers) {
        Media::Json => json(std::str::from_utf8(request.body).ok()?, redactor, secrets),
        Media::Form => {
            let pairs = form_pairs(request.body).map(|(name, value)| {
                let value =
                    if redactor.hides_parameter(&name) { REDACTED.to_owned() } else { redactor.text(&value, secrets) };
                format!("{}={}", form_encoded(&name), form_encoded(&value))
            });
            Some(pairs.collect::<Vec<_>>().join("&"))
        }
        _ => None,
    }
}

fn form_encoded(text: &str) -> String {
    if text == REDACTED {
        return text.to_owned();
    }
    percent_encoded(text)
}
