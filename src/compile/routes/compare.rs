//! Settings of the comparison. The paths are checked by the module that compares, and read again there.

use std::time::Duration;

use super::super::draft::Draft;
use super::super::settings::percent;
use crate::compare::{DEFAULT_BODY_LIMIT, RuleError, RuleFault, RuleList, Rules, WrittenRules};
use crate::config::{self, Field, Item, Named, NamedEntry, OneOrMany};
use crate::diagnostic::{Code, Span};
use crate::migration::{CompareSettings, Examples, Follow};

const DEFAULT_REPLAYS: u32 = 5;
/// 202 Accepted: the outcome comes later.
const ACCEPTED: u16 = 202;
const OUTCOME_WITHIN: Duration = Duration::from_secs(5);
/// The longest `within`: an outcome that is asked for again is held in memory for as long.
const LONGEST_OUTCOME: Duration = Duration::from_secs(60);

/// `by_default`: where the file says nothing, everything is compared as usual.
pub(super) fn compile(
    field: &Field<config::Switch<config::Compare>>,
    by_default: bool,
    draft: &mut Draft<'_>,
) -> Option<CompareSettings> {
    let usual = config::Compare::default();
    let compare = match field {
        Field::Absent if by_default => &usual,
        Field::Absent | Field::Wrong => return None,
        Field::Given(given) => match &given.value {
            config::Switch::Off => return None,
            config::Switch::On => &usual,
            config::Switch::Table(table) => table,
        },
    };
    let mut settings = settings(compare);
    settings.follow = compare.follow.get().map(|written| follow(written, draft));
    match Rules::new(&WrittenRules::from(&settings)) {
        Ok(rules) => settings.hidden = rules.hidden_names().map(Into::into).collect(),
        Err(errors) => errors.iter().for_each(|error| report(compare, error, draft)),
    }
    Some(settings)
}

fn settings(compare: &config::Compare) -> CompareSettings {
    let tolerances = compare.tolerance.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let noise = compare.noise.get();
    let names = compare.headers.get().map(|list| &list.0);
    // No header is called so: the word stands for all of them.
    let all_headers = names.is_some_and(|names| names.iter().any(|item| item.value == "all"));
    CompareSettings {
        headers: names.filter(|_| !all_headers).map(|names| names.iter().map(|item| item.value.clone()).collect()),
        all_headers,
        ignore: texts(&compare.ignore),
        unordered: texts(&compare.unordered),
        tolerance: tolerances.iter().map(|entry| (entry.name.as_str().into(), entry.value)).collect(),
        numbers_as_written: compare.numbers.or(config::Numbers::Value) == config::Numbers::Written,
        mask: pairs(&compare.mask),
        align: pairs(&compare.align),
        hosts: compare.hosts.or(true),
        urls: compare.urls.or(true),
        status: compare
            .status
            .get()
            .map(|named| named.entries.as_slice())
            .unwrap_or_default()
            .iter()
            .map(status)
            .collect(),
        follow: None,
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

fn follow(written: &config::Follow, draft: &mut Draft<'_>) -> Follow {
    let (status, within) = (written.status.or(ACCEPTED), written.within.or(OUTCOME_WITHIN));
    if let Some(given) = written.status.given().filter(|_| !(200..=299).contains(&status)) {
        let help = "write the status that says that the outcome comes later, as in `202`";
        draft.say(Code::OutOfRange, given.span.clone(), format!("{status} accepts nothing"), "not 200 to 299", help);
    }
    if let Some(given) = written.within.given().filter(|_| within.is_zero() || within > LONGEST_OUTCOME) {
        let help = "write a time up to `\"1m\"`, as in `\"5s\"`";
        draft.say(Code::OutOfRange, given.span.clone(), "the wait for an outcome is bounded", "not within 1m", help);
    }
    Follow { status, within }
}

fn pairs(field: &Field<Named<String>>) -> Vec<(Box<str>, Box<str>)> {
    let entries = field.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    entries.iter().map(|entry| (entry.name.as_str().into(), entry.value.as_str().into())).collect()
}

fn status(entry: &NamedEntry<OneOrMany<String>>) -> (Box<str>, Vec<Box<str>>) {
    (entry.name.as_str().into(), entry.value.0.iter().map(|item| item.value.as_str().into()).collect())
}

fn texts(field: &Field<Vec<Item<String>>>) -> Vec<Box<str>> {
    field.get().map(|items| items.iter().map(|item| item.value.as_str().into()).collect()).unwrap_or_default()
}

fn report(compare: &config::Compare, error: &RuleError, draft: &mut Draft<'_>) {
    let code = match error.fault {
        RuleFault::Tolerance | RuleFault::Status => Code::OutOfRange,
        RuleFault::Regex => Code::InvalidRegex,
        RuleFault::HeaderName => Code::InvalidHeaderName,
        RuleFault::Path(_) | RuleFault::NotJson | RuleFault::NoName => Code::InvalidJsonPath,
    };
    let place = place(compare, error).unwrap_or_else(|| compare.span.clone());
    let at = match error.fault {
        RuleFault::Tolerance | RuleFault::Status | RuleFault::Regex => place,
        _ => draft.inside(&place, &error.written, error.at()),
    };
    draft.say(code, at, error.to_string(), "cannot be used", error.help());
}

/// The entry's name where the name is to blame, else its value.
fn named<T>(field: &Field<Named<T>>, error: &RuleError) -> Option<Span> {
    let entry = field.get()?.entries.get(error.index)?;
    let of_value = matches!(error.fault, RuleFault::Regex | RuleFault::Status);
    Some(if of_value { entry.span.clone() } else { entry.key.clone() })
}

/// Where the setting stands in the file.
fn place(compare: &config::Compare, error: &RuleError) -> Option<Span> {
    let of = |field: &Field<Vec<Item<String>>>| Some(field.get()?.get(error.index)?.span.clone());
    match error.list {
        RuleList::Headers => Some(compare.headers.get()?.0.get(error.index)?.span.clone()),
        RuleList::Ignore => of(&compare.ignore),
        RuleList::Unordered => of(&compare.unordered),
        RuleList::Redact => of(&compare.redact),
        RuleList::Mask => named(&compare.mask, error),
        RuleList::Align => named(&compare.align, error),
        RuleList::Status => named(&compare.status, error),
        RuleList::Tolerance => {
            let entry = compare.tolerance.get()?.entries.get(error.index)?;
            Some(if error.fault == RuleFault::Tolerance { entry.span.clone() } else { entry.key.clone() })
        }
    }
}
