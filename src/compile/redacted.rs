//! The text of a file as others may see it: literal secrets are replaced, everything else stays as it was written.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Span;

const REDACTED: &str = "REDACTED";

/// Words of a header's name that say that its value is a secret.
const SECRET: [&str; 15] = [
    "auth",
    "authorization",
    "cookie",
    "credential",
    "credentials",
    "jwt",
    "key",
    "pass",
    "pwd",
    "session",
    "sid",
    "sig",
    "signature",
    "apikey",
    "passwd",
];
/// The same where they are part of a word.
const WITHIN: [&str; 3] = ["token", "secret", "password"];
/// The words before the secret in `Authorization`.
const SCHEMES: [&str; 4] = ["basic", "bearer", "digest", "token"];
/// Tables of header names and values.
const HEADERS: [&str; 3] = ["set", "add", "headers"];

/// Replaces user and password in URLs, and values of `set`, `add` and `headers` whose name holds a secret. A variable's value is not in the
/// text, and stays as `${NAME}`.
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    let (root, _) = DeTable::parse_recoverable(text);
    let mut found = Vec::new();
    let root = root.into_inner();
    for (key, value) in &root {
        let place = if key.get_ref() == "notify" { Place::Notify } else { Place::Elsewhere };
        look(key.get_ref(), value, text, place, &mut found);
    }
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_by_key(|(span, _)| span.start);
    let (mut shown, mut from) = (String::with_capacity(text.len()), 0);
    for (span, instead) in found {
        // Two that overlap would be one string looked at twice.
        if let Some(before) = text.get(from..span.start) {
            shown.push_str(before);
            shown.push_str(&instead);
            from = span.end;
        }
    }
    shown.push_str(text.get(from..).unwrap_or(""));
    Cow::Owned(shown)
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Elsewhere,
    /// The keys are names of headers.
    Headers,
    /// A `url` is a secret in itself.
    Notify,
    /// Every value here is a secret.
    Secret,
}

fn look(key: &str, value: &Spanned<DeValue<'_>>, text: &str, place: Place, found: &mut Vec<(Span, String)>) {
    let place = match place {
        Place::Secret => Place::Secret,
        Place::Notify if key == "url" && value.get_ref().is_str() => Place::Secret,
        Place::Notify => Place::Notify,
        Place::Headers if names_a_secret(key) => Place::Secret,
        Place::Elsewhere if HEADERS.contains(&key) => Place::Headers,
        Place::Headers | Place::Elsewhere => Place::Elsewhere,
    };
    match value.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                look(key.get_ref(), value, text, place, found);
            }
        }
        DeValue::Array(items) => {
            for item in items {
                look("", item, text, place, found);
            }
        }
        DeValue::String(written) if place == Place::Secret && is_variable(written) => {}
        DeValue::String(_) if place == Place::Secret => found.push((value.span(), format!("\"{REDACTED}\""))),
        DeValue::String(written) => found.extend(user_of(written, value.span(), text)),
        _ => {}
    }
}

/// User and password in a URL.
fn user_of(written: &str, span: Span, text: &str) -> Option<(Span, String)> {
    let (scheme, rest) = written.split_once("://")?;
    // In the URL of a broker nothing but the login can have an `@`, and its password may lack its escapes.
    let ends: &[char] = if matches!(scheme, "amqp" | "amqps") { &[] } else { &['/', '?', '#'] };
    let authority = rest.split(ends).next().unwrap_or(rest);
    let (user, _) = authority.rsplit_once('@')?;
    if without_variables(user).trim_matches(':').is_empty() {
        return None;
    }
    let whole = (span.clone(), format!("\"{REDACTED}\""));
    // With escapes in it, the text and the value differ.
    let Some(at) = text.get(span.clone()).and_then(|raw| raw.find(&format!("{scheme}://{user}@"))) else {
        return Some(whole);
    };
    let start = span.start + at + scheme.len() + 3;
    Some((start..start + user.len(), REDACTED.to_owned()))
}

fn is_variable(written: &str) -> bool {
    let left = without_variables(written);
    let left = left.trim();
    left.len() < written.trim().len() && (left.is_empty() || SCHEMES.contains(&left.to_ascii_lowercase().as_str()))
}

/// Without each `${NAME}`; one with a default stays, for the default is in the text.
fn without_variables(written: &str) -> String {
    let (mut left, mut rest) = (String::new(), written);
    while let Some((before, behind)) = rest.split_once("${") {
        left.push_str(before);
        match behind.split_once('}') {
            Some((name, after)) if !name.contains(":-") && !before.ends_with('$') => rest = after,
            _ => {
                left.push_str("${");
                rest = behind;
            }
        }
    }
    left + rest
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WITHIN.iter().any(|word| name.contains(word)) || name.split(['-', '_', '.']).any(|word| SECRET.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn literal_secrets_are_replaced_and_everything_else_stays_as_it_was_written() {
        for (text, shown) in [
            ("a = \"http://127.0.0.1:3000\" # as it was\n", None),
            (
                "[notify.a]\nurl = \"https://chat/T0/B0\"\n[notify.b]\nurl = { env = \"X\" }\n",
                Some("[notify.a]\nurl = \"REDACTED\"\n[notify.b]\nurl = { env = \"X\" }\n"),
            ),
            ("url = \"http://admin:hunter2@a:1/x\"\n", Some("url = \"http://REDACTED@a:1/x\"\n")),
            ("url = \"http://admin@a\"\n", Some("url = \"http://REDACTED@a\"\n")),
            ("url = \"http://${USER}:${PASSWORD}@a\"\n", None),
            ("url = \"http://u:${PASSWORD:-hunter2}@a\"\n", Some("url = \"http://REDACTED@a\"\n")),
            ("to = \"/a?mail=x@y\"\nmail = \"http://a/x@y\"\n", None),
            (
                "[discover]\netcd = { endpoints = ['https://u:p@a:1', \"https://b:1\"] }\n",
                Some("[discover]\netcd = { endpoints = ['https://REDACTED@a:1', \"https://b:1\"] }\n"),
            ),
            (
                "rewrite = { set = { authorization = \"Basic eHg=\", x-team = \"a\" } }\n",
                Some("rewrite = { set = { authorization = \"REDACTED\", x-team = \"a\" } }\n"),
            ),
            ("rewrite = { set = { authorization = \"Bearer ${TOKEN}\", x-api-key = \"${KEY}\" } }\n", None),
            ("add = { x-api-key = ['a', 'b'] }\n", Some("add = { x-api-key = [\"REDACTED\", \"REDACTED\"] }\n")),
            (
                "headers = { X-Auth-Token = { regex = \"^s3cret$\" }, accept = \"x\" }\n",
                Some("headers = { X-Auth-Token = { regex = \"REDACTED\" }, accept = \"x\" }\n"),
            ),
            ("[headers]\ncookie = \"\"\"\nhunter2\"\"\"\n", Some("[headers]\ncookie = \"REDACTED\"\n")),
            // A name that only reads like one.
            ("token = { env = \"TOKEN\" }\nheaders = { x-author = \"a\" }\n", None),
        ] {
            assert_eq!(redacted(text), shown.unwrap_or(text), "{text}");
        }
    }
}
