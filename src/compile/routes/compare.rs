//! What is compared. The paths are checked here and read where the comparing is done.

use super::super::draft::Draft;
use super::super::settings::percent;
use crate::config::{self, Field, Item};
use crate::diagnostic::{Code, Span};
use crate::migration::{CompareSettings, Examples};

const DEFAULT_HEADERS: [&str; 3] = ["content-type", "location", "cache-control"];
const DEFAULT_REPLAYS: u64 = 5;

pub(super) fn compile(field: &Field<config::Compare>, draft: &mut Draft<'_>) -> Option<CompareSettings> {
    let compare = field.get()?;
    let noise = compare.noise.get();
    Some(CompareSettings {
        headers: match compare.headers.get() {
            Some(names) => names.iter().map(|item| item.value.clone()).collect(),
            None => DEFAULT_HEADERS.map(http::HeaderName::from_static).into(),
        },
        ignore: fields(&compare.ignore, draft),
        unordered: json_fields(&compare.unordered, draft),
        tolerance: tolerance(compare, draft),
        replay: noise
            .and_then(|noise| noise.replay.get())
            .map_or_else(|| percent(config::Percent(100)), |share| percent(*share)),
        replays_per_second: noise.and_then(|noise| noise.per_second.get()).map_or(DEFAULT_REPLAYS, |count| count.0),
        examples: match compare.examples.or(config::Examples::Shapes) {
            config::Examples::Values => Examples::Values,
            config::Examples::Shapes => Examples::Shapes,
            config::Examples::Off => Examples::Off,
        },
        redact: fields(&compare.redact, draft),
    })
}

fn fields(field: &Field<Vec<Item<String>>>, draft: &mut Draft<'_>) -> Vec<Box<str>> {
    let items = field.get().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter(|item| check(&item.value, &item.span, draft)).map(|item| item.value.as_str().into()).collect()
}

/// Only JSON has lists.
fn json_fields(field: &Field<Vec<Item<String>>>, draft: &mut Draft<'_>) -> Vec<Box<str>> {
    let items = field.get().map(Vec::as_slice).unwrap_or_default();
    let mut paths = Vec::with_capacity(items.len());
    for item in items {
        if !check(&item.value, &item.span, draft) {
            continue;
        }
        if item.value.starts_with('$') {
            paths.push(item.value.as_str().into());
        } else {
            not_json(&item.value, item.span.clone(), draft);
        }
    }
    paths
}

fn tolerance(compare: &config::Compare, draft: &mut Draft<'_>) -> Vec<(Box<str>, f64)> {
    let entries = compare.tolerance.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let mut tolerances = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.value < 0.0 {
            let message = format!("the tolerance of `{}` is below 0", entry.name);
            let help = format!("write `\"{}\" = {}`", entry.name, -entry.value);
            draft.say(Code::OutOfRange, entry.span.clone(), message, "below 0", help);
        }
        if !check(&entry.name, &entry.key, draft) {
            continue;
        }
        if entry.name.starts_with('$') {
            tolerances.push((entry.name.as_str().into(), entry.value));
        } else {
            not_json(&entry.name, entry.key.clone(), draft);
        }
    }
    tolerances
}

fn not_json(text: &str, span: Span, draft: &mut Draft<'_>) {
    let message = format!("`{text}` is not a field of a JSON body");
    draft.say(Code::InvalidJsonPath, span, message, "not a JSON field", "write it like `$.items[*].price`");
}

/// Whether the path can be read; else it is reported.
fn check(text: &str, span: &Span, draft: &mut Draft<'_>) -> bool {
    let Err((part, help)) = field_path(text) else { return true };
    let at = draft.inside(span, text, part);
    draft.say(Code::InvalidJsonPath, at, format!("`{text}` is not the path of a field"), "cannot be read", help);
    false
}

fn field_path(text: &str) -> Result<(), (Span, &'static str)> {
    let whole = 0..text.len();
    if let Some(name) = text.strip_prefix("header:") {
        let fine = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
        return if fine { Ok(()) } else { Err((whole, "write the header's name alone, as in `header:cache-control`")) };
    }
    let Some(steps) = text.strip_prefix('$') else {
        return Err((whole, "write `$.name` for a JSON field, or `header:name`"));
    };
    let mut rest = steps;
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        rest = if let Some(after) = rest.strip_prefix("[*]") {
            after
        } else if rest.starts_with('[') {
            return Err((at..text.len(), "positions are not told apart: write `[*]`"));
        } else if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return Err((at..text.len(), "a key follows every dot, as in `$.items[*].price`"));
            }
            &after[end..]
        } else {
            return Err((at..text.len(), "write it like `$.items[*].price`"));
        };
    }
    Ok(())
}
