//! Headers that are set, added and removed; never those that the proxy itself writes.

use http::{HeaderName, HeaderValue};

use super::super::draft::Draft;
use crate::config::{Field, HeaderList, HeaderValues};
use crate::diagnostic::{Code, Span};
use crate::route::HeaderEdits;

pub(super) fn compile(
    set: &Field<HeaderValues>,
    add: &Field<HeaderValues>,
    remove: &Field<HeaderList>,
    draft: &mut Draft<'_>,
) -> HeaderEdits {
    HeaderEdits { set: values(set, draft), add: values(add, draft), remove: names(remove, draft) }
}

/// Headers that are set, and no other change.
pub(super) fn setting(set: &Field<HeaderValues>, draft: &mut Draft<'_>) -> HeaderEdits {
    HeaderEdits { set: values(set, draft), ..HeaderEdits::default() }
}

fn values(field: &Field<HeaderValues>, draft: &mut Draft<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let entries = field.get().map(|values| values.0.as_slice()).unwrap_or_default();
    entries
        .iter()
        .filter(|entry| may_be_written(&entry.name, entry.key.clone(), draft))
        .map(|entry| (entry.name.clone(), entry.value.clone()))
        .collect()
}

fn names(field: &Field<HeaderList>, draft: &mut Draft<'_>) -> Vec<HeaderName> {
    let items = field.get().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter(|item| may_be_written(&item.value, item.span.clone(), draft))
        .map(|item| item.value.clone())
        .collect()
}

/// Framing and connection headers are the proxy's: changed by hand, two programs would read a message in two ways.
pub(super) fn may_be_written(name: &HeaderName, span: Span, draft: &mut Draft<'_>) -> bool {
    let help = match name.as_str() {
        "host" => "write `rewrite = { host = \"users.internal\" }`",
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade"
        | "content-length" => "remove it from the file: it belongs to one connection",
        name if name.starts_with("x-multilith") => "remove it from the file; take a name of your own",
        _ => return true,
    };
    draft.say(Code::UnexpectedRewrite, span, format!("`{name}` is written by the proxy itself"), "not possible", help);
    false
}
