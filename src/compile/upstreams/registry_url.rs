//! The URL of a registry.

use super::super::draft::Draft;
use super::super::url::upstream_url;
use crate::diagnostic::Span;

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
