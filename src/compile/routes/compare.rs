//! What is compared. The paths are checked by the module that compares, and read again there.

use super::super::draft::Draft;
use super::super::settings::percent;
use crate::compare::{DEFAULT_BODY_LIMIT, RuleError, RuleFault, RuleList, Rules, WrittenRules};
use crate::config::{self, Field, Item};
use crate::diagnostic::{Code, Span};
use crate::migration::{CompareSettings, Examples};

const DEFAULT_HEADERS: [&str; 3] = ["content-type", "location", "cache-control"];
const DEFAULT_REPLAYS: u32 = 5;

pub(super) fn compile(field: &Field<config::Compare>, draft: &mut Draft<'_>) -> Option<CompareSettings> {
    let compare = field.get()?;
    let mut settings = settings(compare);
    match Rules::new(&WrittenRules::from(&settings)) {
        Ok(rules) => settings.hidden = rules.hidden_names().map(Into::into).collect(),
        Err(errors) => errors.iter().for_each(|error| report(compare, error, draft)),
    }
    Some(settings)
}

fn settings(compare: &config::Compare) -> CompareSettings {
    let tolerances = compare.tolerance.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let noise = compare.noise.get();
    CompareSettings {
        headers: match compare.headers.get() {
            Some(names) => names.iter().map(|item| item.value.clone()).collect(),
            None => DEFAULT_HEADERS.map(http::HeaderName::from_static).into(),
        },
        ignore: texts(&compare.ignore),
        unordered: texts(&compare.unordered),
        tolerance: tolerances.iter().map(|entry| (entry.name.as_str().into(), entry.value)).collect(),
        numbers_as_written: compare.numbers.or(config::Numbers::Value) == config::Numbers::Written,
        body_limit: compare.body_limit.get().map_or(DEFAULT_BODY_LIMIT, |size| size.0),
        replay: percent(noise.map_or(config::Percent(100), |noise| noise.replay.or(config::Percent(100)))),
        replays_per_second: u64::from(noise.map_or(DEFAULT_REPLAYS, |noise| noise.per_second.or(DEFAULT_REPLAYS))),
        examples: match compare.examples.or(config::Examples::Shapes) {
            config::Examples::Values => Examples::Values,
            config::Examples::Shapes => Examples::Shapes,
            config::Examples::Off => Examples::Off,
        },
        redact: texts(&compare.redact),
        hidden: Box::default(),
    }
}

fn texts(field: &Field<Vec<Item<String>>>) -> Vec<Box<str>> {
    field.get().map(|items| items.iter().map(|item| item.value.as_str().into()).collect()).unwrap_or_default()
}

fn report(compare: &config::Compare, error: &RuleError, draft: &mut Draft<'_>) {
    let code = match error.fault {
        RuleFault::Tolerance => Code::OutOfRange,
        RuleFault::HeaderName => Code::InvalidHeaderName,
        RuleFault::Path(_) | RuleFault::NotJson | RuleFault::NoName => Code::InvalidJsonPath,
    };
    let place = place(compare, error).unwrap_or_else(|| compare.span.clone());
    let at = match error.fault {
        RuleFault::Tolerance => place,
        _ => draft.inside(&place, &error.written, error.at()),
    };
    draft.say(code, at, error.to_string(), "cannot be used", error.help());
}

/// Where the setting stands in the file.
fn place(compare: &config::Compare, error: &RuleError) -> Option<Span> {
    let of = |field: &Field<Vec<Item<String>>>| Some(field.get()?.get(error.index)?.span.clone());
    match error.list {
        RuleList::Headers => Some(compare.headers.get()?.get(error.index)?.span.clone()),
        RuleList::Ignore => of(&compare.ignore),
        RuleList::Unordered => of(&compare.unordered),
        RuleList::Redact => of(&compare.redact),
        RuleList::Tolerance => {
            let entry = compare.tolerance.get()?.entries.get(error.index)?;
            Some(if error.fault == RuleFault::Tolerance { entry.span.clone() } else { entry.key.clone() })
        }
    }
}
