//! The event that a function gets for a request, in both forms that adapters know.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Version;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::super::Brief;
use crate::endpoint::EventVersion;
use crate::message::{Name, RequestHead, form_pairs};

/// The event for a request with this body, as JSON.
pub(super) fn event(version: EventVersion, head: &RequestHead, brief: &Brief, body: &[u8], now: Timestamp) -> Vec<u8> {
    let asked = Asked { head, brief, body, now };
    let event = match version {
        EventVersion::V2 => asked.of_http_api(),
        EventVersion::V1 => asked.of_rest_api(),
    };
    serde_json::to_vec(&event).expect("JSON of text and numbers can be written")
}

struct Asked<'a> {
    head: &'a RequestHead,
    brief: &'a Brief,
    body: &'a [u8],
    now: Timestamp,
}

impl Asked<'_> {
    /// Version 2.0: names in lower case, several values joined, cookies apart.
    fn of_http_api(&self) -> Value {
        let mut headers = Map::new();
        let mut cookies = Vec::new();
        for (known, name, value) in self.head.fields.named() {
            let value = text(value);
            if known == Name::Cookie {
                cookies.extend(value.split(';').map(str::trim).filter(|one| !one.is_empty()).map(Value::from));
                continue;
            }
            join(&mut headers, text(name).to_ascii_lowercase(), &value);
        }
        let query = text(self.head.query().unwrap_or_default());
        let mut values = Map::new();
        for (name, value) in form_pairs(query.as_bytes()) {
            join(&mut values, name.into_owned(), &value);
        }
        let (path, host) = (text(self.head.path()), self.host());
        let mut event = Map::new();
        event.insert("version".into(), "2.0".into());
        event.insert("routeKey".into(), "$default".into());
        event.insert("rawPath".into(), path.clone().into());
        event.insert("rawQueryString".into(), query.clone().into());
        if !cookies.is_empty() {
            event.insert("cookies".into(), cookies.into());
        }
        event.insert("headers".into(), headers.into());
        if !values.is_empty() {
            event.insert("queryStringParameters".into(), values.into());
        }
        event.insert(
            "requestContext".into(),
            json!({
                "accountId": "anonymous",
                "apiId": "multilith",
                "domainName": host,
                "domainPrefix": host.split('.').next().unwrap_or_default(),
                "http": {
                    "method": self.head.method.as_str(),
                    "path": path,
                    "protocol": self.protocol(),
                    "sourceIp": self.source(),
                    "userAgent": self.user_agent(),
                },
                "requestId": self.request_id(),
                "routeKey": "$default",
                "stage": "$default",
                "time": self.time(),
                "timeEpoch": self.now.as_millisecond(),
            }),
        );
        let (body, encoded) = self.body();
        if let Some(body) = body {
            event.insert("body".into(), body.into());
        }
        event.insert("isBase64Encoded".into(), encoded.into());
        event.into()
    }

    /// Version 1.0: names as they came, the last value of each, and all of them beside.
    fn of_rest_api(&self) -> Value {
        let (mut last, mut all) = (Map::new(), Map::new());
        for (name, value) in self.head.fields.iter() {
            // Of two spellings of one name the first is that of both.
            let name = text(name);
            let known = all.keys().find(|known: &&String| known.eq_ignore_ascii_case(&name)).cloned();
            let name = known.unwrap_or_else(|| name.into_owned());
            note(&mut last, &mut all, name, text(value).into_owned());
        }
        let query = text(self.head.query().unwrap_or_default());
        let (mut one, mut several) = (Map::new(), Map::new());
        for (name, value) in form_pairs(query.as_bytes()) {
            note(&mut one, &mut several, name.into_owned(), value.into_owned());
        }
        let given = |map: Map<String, Value>| if map.is_empty() { Value::Null } else { map.into() };
        let (path, host, id) = (text(self.head.path()), self.host(), self.request_id());
        let (body, encoded) = self.body();
        json!({
            "version": "1.0",
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": self.head.method.as_str(),
            "headers": last,
            "multiValueHeaders": all,
            "queryStringParameters": given(one),
            "multiValueQueryStringParameters": given(several),
            "pathParameters": { "proxy": path.trim_start_matches('/') },
            "stageVariables": null,
            "requestContext": {
                "accountId": "",
                "apiId": "multilith",
                "domainName": host,
                "extendedRequestId": id,
                "httpMethod": self.head.method.as_str(),
                "identity": { "sourceIp": self.source(), "userAgent": self.user_agent() },
                "path": path,
                "protocol": self.protocol(),
                "requestId": id,
                "requestTime": self.time(),
                "requestTimeEpoch": self.now.as_millisecond(),
                "resourceId": "proxy",
                "resourcePath": "/{proxy+}",
                "stage": "$default",
            },
            "body": body,
            "isBase64Encoded": encoded,
        })
    }

    fn host(&self) -> Cow<'_, str> {
        text(self.head.fields.get(Name::Host).unwrap_or_default())
    }

    fn user_agent(&self) -> Cow<'_, str> {
        text(self.head.fields.get(Name::UserAgent).unwrap_or_default())
    }

    fn request_id(&self) -> Cow<'_, str> {
        text(self.head.fields.get(Name::XRequestId).unwrap_or_default())
    }

    /// Adapters read it, so it is never empty.
    fn source(&self) -> String {
        self.brief.client.unwrap_or(IpAddr::from([127, 0, 0, 1])).to_canonical().to_string()
    }

    const fn protocol(&self) -> &'static str {
        match self.brief.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        }
    }

    fn time(&self) -> String {
        self.now.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
    }

    /// Text where it is said and is text, else base64; whether it is that.
    fn body(&self) -> (Option<String>, bool) {
        if self.body.is_empty() {
            return (None, false);
        }
        let coded = self.head.fields.has(Name::ContentEncoding);
        let is_text = !coded && self.head.fields.text(Name::ContentType).is_some_and(says_text);
        match std::str::from_utf8(self.body).ok().filter(|_| is_text) {
            Some(text) => (Some(text.to_owned()), false),
            None => (Some(STANDARD.encode(self.body)), true),
        }
    }
}

fn says_text(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(
            &*kind,
            "application/json"
                | "application/xml"
                | "application/javascript"
                | "application/x-javascript"
                | "application/x-www-form-urlencoded"
        )
}

/// Bytes of a head as text: UTF-8, or else Latin-1.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), Cow::Borrowed)
}

fn join(map: &mut Map<String, Value>, name: String, value: &str) {
    match map.entry(name).or_insert_with(|| Value::String(String::new())) {
        Value::String(known) if known.is_empty() => value.clone_into(known),
        Value::String(known) => {
            known.push(',');
            known.push_str(value);
        }
        _ => {}
    }
}

fn note(last: &mut Map<String, Value>, all: &mut Map<String, Value>, name: String, value: String) {
    last.insert(name.clone(), value.clone().into());
    if let Value::Array(values) = all.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
        values.push(value.into());
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
