//! Conditions on headers, cookies and query values.

use std::collections::HashMap;

use http::HeaderName;

use super::super::draft::Draft;
use super::Site;
use crate::config::{self, NamedEntry};
use crate::diagnostic::{Code, Diagnostic};
use crate::route::{Condition, ConditionKind, ConditionOn};

/// In the order of `ConditionOn`.
pub(super) fn compile(site: Site<'_>, draft: &mut Draft<'_>) -> Vec<Condition> {
    let mut conditions = headers(entries(&site.route.headers), draft);
    conditions.extend(cookies(entries(&site.route.cookies), draft));
    let query = entries(&site.route.query).iter();
    conditions.extend(query.map(|entry| condition(ConditionOn::Query, entry.name.as_str(), entry)));
    conditions
}

fn entries(field: &config::Field<config::Conditions>) -> &[NamedEntry<config::Condition>] {
    field.get().map(|named| named.entries.as_slice()).unwrap_or_default()
}

fn condition(on: ConditionOn, name: &str, entry: &NamedEntry<config::Condition>) -> Condition {
    let kind = match &entry.value {
        config::Condition::Equal(text) => ConditionKind::Equal(text.as_str().into()),
        config::Condition::Present => ConditionKind::Present,
        config::Condition::Absent => ConditionKind::Absent,
        config::Condition::Regex(regex) => ConditionKind::Regex(regex.clone()),
    };
    Condition { on, name: name.into(), kind }
}

/// Names in lower case; the file may not name one header in two spellings.
fn headers(entries: &[NamedEntry<config::Condition>], draft: &mut Draft<'_>) -> Vec<Condition> {
    let mut seen = HashMap::new();
    let mut conditions = Vec::with_capacity(entries.len());
    for entry in entries {
        let Ok(name) = HeaderName::from_bytes(entry.name.as_bytes()) else {
            draft.say(
                Code::InvalidHeaderName,
                entry.key.clone(),
                format!("`{}` is not a header name", entry.name),
                "not a header name",
                "header names have letters, digits and `-`, as in `x-user-id`",
            );
            continue;
        };
        if let Some(before) = seen.insert(name.clone(), entry.key.clone()) {
            draft.push(
                Diagnostic::new(Code::DuplicateValue, format!("two conditions on the header `{name}`"))
                    .at(entry.key.clone())
                    .label("again, in another case")
                    .related(before, "first here")
                    .help("keep one of the two: the case of header names does not count"),
            );
            continue;
        }
        conditions.push(condition(ConditionOn::Header, name.as_str(), entry));
    }
    conditions
}

fn cookies(entries: &[NamedEntry<config::Condition>], draft: &mut Draft<'_>) -> Vec<Condition> {
    let mut conditions = Vec::with_capacity(entries.len());
    for entry in entries {
        if HeaderName::from_bytes(entry.name.as_bytes()).is_err() {
            draft.say(
                Code::InvalidValue,
                entry.key.clone(),
                format!("`{}` is not the name of a cookie", entry.name),
                "not a cookie name",
                "cookie names have no spaces, `;`, `,` and `=`",
            );
            continue;
        }
        conditions.push(condition(ConditionOn::Cookie, entry.name.as_str(), entry));
    }
    conditions
}
