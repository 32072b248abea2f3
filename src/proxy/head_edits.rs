//! Edits of a response's head that more than one rule makes.

use super::location::Reverse;
use crate::message::{Name, ResponseHead};

pub(super) fn rewrite_location(head: &mut ResponseHead, name: Name, reverse: &Reverse<'_>) {
    let Some(value) = head.fields.text(name) else { return };
    let changed = if name == Name::Refresh { reverse.refresh(value) } else { reverse.back(value) };
    if let Some(changed) = changed.filter(|changed| !changed.contains(['\r', '\n'])) {
        head.fields.set(name, changed.as_bytes());
    }
}

/// Changes every cookie that the upstream sets.
pub(super) fn rewrite_cookies(head: &mut ResponseHead, change: impl Fn(&str) -> String) {
    let cookies: Vec<Vec<u8>> = head.fields.all(Name::SetCookie).map(<[u8]>::to_vec).collect();
    if cookies.is_empty() {
        return;
    }
    head.fields.remove(Name::SetCookie);
    for cookie in cookies {
        let changed = std::str::from_utf8(&cookie).ok().map(|text| change(text).into_bytes());
        head.fields.append(Name::SetCookie, &changed.unwrap_or(cookie));
    }
}
