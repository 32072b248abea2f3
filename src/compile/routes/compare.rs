//! What is compared: the written rules, read by the module that compares.

use std::sync::Arc;

use super::super::draft::Draft;
use super::super::settings::percent;
use crate::compare::{Examples, NoiseBudget, RuleError, RuleFault, RuleList, Rules, WrittenRules};
use crate::config::{self, Field, Item};
use crate::diagnostic::{Code, Span};

pub(super) fn compile(field: &Field<config::Compare>, draft: &mut Draft<'_>) -> Option<Arc<Rules>> {
    let compare = field.get()?;
    match Rules::new(&written(compare)) {
        Ok(rules) => Some(Arc::new(rules)),
        Err(errors) => {
            for error in errors {
                report(compare, &error, draft);
            }
            None
        }
    }
}

fn written(compare: &config::Compare) -> WrittenRules {
    let default = WrittenRules::default();
    let tolerances = compare.tolerance.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    WrittenRules {
        headers: compare.headers.get().map(|names| names.iter().map(|item| item.value.as_str().to_owned()).collect()),
        ignore: texts(&compare.ignore),
        unordered: texts(&compare.unordered),
        tolerance: tolerances.iter().map(|entry| (entry.name.clone(), entry.value)).collect(),
        redact: texts(&compare.redact),
        examples: match compare.examples.get() {
            None => default.examples,
            Some(config::Examples::Values) => Examples::Values,
            Some(config::Examples::Shapes) => Examples::Shapes,
            Some(config::Examples::Off) => Examples::Off,
        },
        noise: noise(compare.noise.get(), default.noise),
        ..default
    }
}

fn noise(written: Option<&config::Noise>, default: NoiseBudget) -> NoiseBudget {
    let Some(written) = written else { return default };
    NoiseBudget {
        replay: written.replay.get().map_or(default.replay, |share| percent(*share)),
        per_second: written.per_second.or(default.per_second),
    }
}

fn texts(field: &Field<Vec<Item<String>>>) -> Vec<String> {
    field.get().map(|items| items.iter().map(|item| item.value.clone()).collect()).unwrap_or_default()
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
