//! The URL of a registry.

use super::super::draft::Draft;
use super::super::url::upstream_url;
use crate::config::{Given, Item};
use crate::diagnostic::{Code, Span};

/// Says what is wrong with it; `port` is the usual one.
pub(in crate::compile) fn registry_url(text: &str, span: &Span, port: u16, draft: &mut Draft<'_>) {
    if let Err((code, error)) = upstream_url(text) {
        let at = draft.inside(span, text, error.part);
        draft.say(
            code,
            at,
            error.message,
            "not a URL",
            format!("write it like `http://127.0.0.1:{port}`, without a path"),
        );
    }
}

/// The members of an etcd; `empty` is what it is called where none is named.
pub(in crate::compile) fn etcd_members(
    endpoints: &Given<Vec<Item<String>>>,
    empty: Code,
    draft: &mut Draft<'_>,
) -> Vec<Box<str>> {
    for item in &endpoints.value {
        registry_url(&item.value, &item.span, 2379, draft);
    }
    if endpoints.value.is_empty() {
        let help = "name at least one: `endpoints = [\"http://127.0.0.1:2379\"]`";
        draft.say(empty, endpoints.span.clone(), "etcd without a member", "empty", help);
    }
    endpoints.value.iter().map(|item| item.value.as_str().into()).collect()
}
