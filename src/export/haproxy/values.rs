//! Samples of `HAProxy` with the first value under a name, and what a condition asks of them.

use super::quoted;
use crate::export::pattern;
use crate::route::{Condition, ConditionKind};

/// The Cookie field, into which the lines were joined.
pub(super) const COOKIES: &str = "req.fhdr(cookie,1)";

/// As a quoted argument of a converter.
fn argument(regex: &str) -> String {
    format!("\"{}\"", regex.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a query has a key.
pub(super) fn has_query(name: &str) -> String {
    let name = pattern::encoded_key(name);
    format!("{{ query -m reg {} }}", quoted(&format!("^(?:[^&]*&)*{name}(?:[=&]|$)")))
}

/// The first value of a query key that is there, decoded as multilith does: what is no escape stands for itself.
pub(super) fn first_query(name: &str) -> String {
    let name = pattern::encoded_key(name);
    let first = argument(&format!("^(?:(?!{name}(?:[=&]|$))[^&]*&)*{name}=?([^&]*).*$"));
    let stray = argument("%(?![0-9a-fA-F]{2})");
    quoted(&format!("query,regsub({first},\"\\1\"),regsub({stray},\"%25\",g),url_dec(1)"))
}

/// Whether there is a cookie. `req.cook` also takes commas for the end of one, and the last of several.
pub(super) fn has_cookie(name: &str) -> String {
    format!("{{ {COOKIES} -m reg {} }}", quoted(&pattern::first_cookie(name)))
}

/// The first value of a cookie that is there, without a pair of quotes around it.
pub(super) fn first_cookie(name: &str) -> String {
    let first = argument(&format!("{}([^;]*?)[ \\t]*(?:;.*)?$", pattern::first_cookie(name)));
    let pair = argument("^\"(.*)\"$");
    quoted(&format!("{COOKIES},regsub({first},\"\\1\"),regsub({pair},\"\\1\")"))
}

/// A condition on a sample that is missing where the request has no such value.
pub(super) fn meets(sample: &str, condition: &Condition) -> String {
    match &condition.kind {
        // HAProxy refuses an empty pattern.
        ConditionKind::Equal(value) if value.is_empty() => format!(" {{ {sample} -m len 0 }}"),
        ConditionKind::Equal(value) => format!(" {{ {sample} -m str -- {} }}", quoted(value)),
        ConditionKind::Present => format!(" {{ {sample} -m found }}"),
        ConditionKind::Absent => format!(" !{{ {sample} -m found }}"),
        ConditionKind::Regex(regex) => {
            format!(" {{ {sample} -m reg -- {} }}", quoted(&pattern::ending(regex.as_str())))
        }
    }
}
