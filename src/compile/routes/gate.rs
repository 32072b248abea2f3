//! `[gate]` and the gates of the routes: each key within its bounds, and a gate only where a route can move.

use std::sync::Arc;
use std::time::Duration;

use super::super::draft::Draft;
use super::super::settings::percent;
use super::Site;
use crate::config::{self, Count, Field, Given, Increase, Item};
use crate::diagnostic::Code;
use crate::migration::gate::{Gate, OnFail};
use crate::migration::{Percent, Shadow, Stage};
use crate::route::MethodSet;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

const MOST_STEPS: usize = 20;
/// Of margins, in hundredths of a percent: 0 could never be proved.
const MARGIN: (u32, u32) = (1, 5000);
/// From 1 % to 1 000 %.
const LATENCY: (u32, u32) = (100, 100_000);
const COUNT: (u64, u64) = (1, 1_000_000_000);
/// Longer texts are no version.
const LONGEST_VERSION: usize = 200;

/// The stages that a route can be moved into.
const MOVED_INTO: [Stage; 4] = [Stage::Shadow, Stage::Canary, Stage::Migrated, Stage::Retired];

/// `[gate]` over what is built in.
pub(super) fn defaults(file: &config::File, draft: &mut Draft<'_>) -> Gate {
    let built_in = Gate::default();
    match file.gate.get() {
        Some(written) => over(written, &built_in, draft),
        None => built_in,
    }
}

/// The gate of a route: only a table of its own gives it one.
pub(super) fn compile(
    site: Site<'_>,
    stage: config::Stage,
    shadow: Option<&Shadow>,
    draft: &mut Draft<'_>,
) -> Option<Arc<Gate>> {
    let given = site.route.gate.given()?;
    let gate = over(&given.value, site.gate_defaults, draft);
    if stage == config::Stage::Split {
        draft.say(
            Code::GateInSplit,
            given.key.clone(),
            format!("`{}` is a split, which a gate cannot move", site.name()),
            "no gate here",
            "remove the table; a gate moves a canary, and a split has no side that is the better one",
        );
        return None;
    }
    if site.route.service.is_absent() {
        draft.say(
            Code::GateWithoutService,
            given.key.clone(),
            format!("`{}` has a gate and no service to move to", site.name()),
            "moves to what?",
            "add `service = \"NAME\"`, or remove the table",
        );
        return None;
    }
    no_evidence(site, stage, given, shadow, draft);
    Some(Arc::new(gate))
}

/// In `shadow` only copies that are compared are evidence.
fn no_evidence(
    site: Site<'_>,
    stage: config::Stage,
    given: &Given<Box<config::Gate>>,
    shadow: Option<&Shadow>,
    draft: &mut Draft<'_>,
) {
    let (config::Stage::Shadow, Some(shadow)) = (stage, shadow) else { return };
    let taken = site.route.methods.get().map(|list| {
        let mut set = MethodSet::default();
        for item in &list.0 {
            set.insert(item.value.clone());
        }
        set
    });
    let (why, help) = if shadow.sample == Percent::NOBODY {
        ("no request is copied", "raise `sample`, or remove the gate until the route is a canary".to_owned())
    } else if taken.is_some_and(|taken| taken.is_disjoint(&shadow.methods)) {
        (
            "no request of its methods is copied",
            "add `methods` and `writes = \"sandbox\"` to the shadow table if the service may be written to, or make the route a canary"
                .to_owned(),
        )
    } else if shadow.compare.is_none() {
        (
            "the answers of the copies are not compared",
            format!("add `[routes.{}.shadow.compare]`, or make the route a canary", site.name()),
        )
    } else {
        return;
    };
    draft.say(
        Code::GateNoEvidence,
        given.key.clone(),
        format!("the gate of `{}` holds for ever: {why}", site.name()),
        "no evidence",
        help,
    );
}

/// A table over its defaults. A wrong value is reported, and the default stands for it.
fn over(written: &config::Gate, base: &Gate, draft: &mut Draft<'_>) -> Gate {
    Gate {
        steps: steps(&written.steps, draft).unwrap_or_else(|| base.steps.clone()),
        interval: time(&written.interval, "interval", (SECOND, DAY), "1 s to 24 h", draft).unwrap_or(base.interval),
        min_requests: count(&written.min_requests, "min_requests", draft).unwrap_or(base.min_requests),
        confidence: confidence(&written.confidence, draft).unwrap_or(base.confidence),
        max_error_increase: margin(&written.max_error_increase, "max_error_increase", draft)
            .unwrap_or(base.max_error_increase),
        max_refusal_increase: margin(&written.max_refusal_increase, "max_refusal_increase", draft)
            .unwrap_or(base.max_refusal_increase),
        max_latency_increase: latency(&written.max_latency_increase, draft).unwrap_or(base.max_latency_increase),
        max_mismatch: margin(&written.max_mismatch, "max_mismatch", draft).unwrap_or(base.max_mismatch),
        min_compared: count(&written.min_compared, "min_compared", draft).unwrap_or(base.min_compared),
        settle: time(&written.settle, "settle", (Duration::ZERO, HOUR), "0 s to 1 h", draft).unwrap_or(base.settle),
        control: control(&written.control, draft).unwrap_or(base.control),
        pairs: written.pairs.or(base.pairs),
        approve: approve(&written.approve, draft).unwrap_or_else(|| base.approve.clone()),
        on_fail: written.on_fail.get().map_or(base.on_fail, |on_fail| match on_fail {
            config::OnFail::RollBack => OnFail::RollBack,
            config::OnFail::Hold => OnFail::Hold,
        }),
        version: version(&written.version, draft).unwrap_or_else(|| base.version.clone()),
    }
}

fn out_of_range<T>(given: &Given<T>, key: &str, bounds: &str, draft: &mut Draft<'_>) {
    draft.say(
        Code::OutOfRange,
        given.span.clone(),
        format!("`{key}` must lie between {bounds}"),
        "out of range",
        format!("give a value between {bounds}, or remove `{key}` for its default"),
    );
}

fn steps(field: &Field<Vec<Item<config::Percent>>>, draft: &mut Draft<'_>) -> Option<Vec<Percent>> {
    let given = field.given()?;
    if given.value.is_empty() || given.value.len() > MOST_STEPS {
        out_of_range(given, "steps", "1 and 20 steps", draft);
        return None;
    }
    let mut before = None;
    for item in &given.value {
        if item.value.0 == 0 {
            draft.say(
                Code::OutOfRange,
                item.span.clone(),
                "a step of 0 % has no requests to judge by",
                "out of range",
                "give steps between 0.01 % and 100 %",
            );
            return None;
        }
        if before.is_some_and(|before| before >= item.value.0) {
            draft.say(
                Code::GateStepsNotRising,
                item.span.clone(),
                "the steps of a gate must rise",
                "not above the one before",
                "sort them: `steps = [\"1%\", \"5%\", \"25%\", \"50%\", \"100%\"]`",
            );
            return None;
        }
        before = Some(item.value.0);
    }
    Some(given.value.iter().map(|item| percent(item.value)).collect())
}

fn time(
    field: &Field<Duration>,
    key: &str,
    (least, most): (Duration, Duration),
    bounds: &str,
    draft: &mut Draft<'_>,
) -> Option<Duration> {
    let given = field.given()?;
    if (least..=most).contains(&given.value) {
        return Some(given.value);
    }
    out_of_range(given, key, &bounds.replace(" to ", " and "), draft);
    None
}

fn count(field: &Field<Count>, key: &str, draft: &mut Draft<'_>) -> Option<u64> {
    let given = field.given()?;
    if (COUNT.0..=COUNT.1).contains(&given.value.0) {
        return Some(given.value.0);
    }
    out_of_range(given, key, "1 and 1 000 000 000", draft);
    None
}

fn confidence(field: &Field<f64>, draft: &mut Draft<'_>) -> Option<f64> {
    let given = field.given()?;
    if (0.5..=0.9999).contains(&given.value) {
        return Some(given.value);
    }
    out_of_range(given, "confidence", "0.5 and 0.9999", draft);
    None
}

/// No number of requests proves an increase of zero.
fn never_proved<T>(given: &Given<T>, key: &str, example: &str, draft: &mut Draft<'_>) {
    draft.say(
        Code::OutOfRange,
        given.span.clone(),
        format!("`{key}` of 0 % can never be proved: no number of requests is enough"),
        "out of range",
        format!("allow a little: `{key} = \"{example}\"`"),
    );
}

fn margin(field: &Field<config::Percent>, key: &str, draft: &mut Draft<'_>) -> Option<f64> {
    let given = field.given()?;
    let hundredths = u32::from(given.value.0);
    if hundredths == 0 {
        never_proved(given, key, "0.5%", draft);
        return None;
    }
    if hundredths > MARGIN.1 {
        out_of_range(given, key, "0.01 % and 50 %", draft);
        return None;
    }
    Some(f64::from(hundredths) / 10_000.0)
}

fn latency(field: &Field<Increase>, draft: &mut Draft<'_>) -> Option<f64> {
    let given = field.given()?;
    if given.value.0 == 0 {
        never_proved(given, "max_latency_increase", "20%", draft);
        return None;
    }
    if !(LATENCY.0..=LATENCY.1).contains(&given.value.0) {
        out_of_range(given, "max_latency_increase", "1 % and 1 000 %", draft);
        return None;
    }
    Some(f64::from(given.value.0) / 10_000.0)
}

fn control(field: &Field<config::Percent>, draft: &mut Draft<'_>) -> Option<Percent> {
    let given = field.given()?;
    if (1..=5000).contains(&given.value.0) {
        return Some(percent(given.value));
    }
    out_of_range(given, "control", "0.01 % and 50 %", draft);
    None
}

fn approve(field: &Field<Vec<Item<String>>>, draft: &mut Draft<'_>) -> Option<Vec<Stage>> {
    let given = field.given()?;
    let mut stages = Vec::new();
    let mut fine = true;
    for item in &given.value {
        if let Some(stage) = MOVED_INTO.into_iter().find(|stage| stage.as_str() == item.value) {
            stages.push(stage);
            continue;
        }
        fine = false;
        let near = draft.nearest(&item.value, MOVED_INTO.map(Stage::as_str));
        let meant = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        draft.say(
            Code::GateApproveUnknown,
            item.span.clone(),
            format!("`{}` is not a stage that a route is moved into", item.value),
            "no such move",
            format!("{meant}the stages are shadow, canary, migrated and retired; `approve = []` waits for nobody"),
        );
    }
    fine.then_some(stages)
}

fn version(field: &Field<String>, draft: &mut Draft<'_>) -> Option<Box<str>> {
    let given = field.given()?;
    if given.value.len() > LONGEST_VERSION {
        out_of_range(given, "version", "0 and 200 bytes", draft);
        return None;
    }
    Some(given.value.as_str().into())
}
