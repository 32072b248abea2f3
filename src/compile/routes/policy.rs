//! The policy of a route, which decides the side that answers: stage, weight, units, pin.

use super::super::draft::Draft;
use super::super::settings::percent;
use super::service::{self, Named, compiled};
use super::{Site, fallback, gate, safe_methods, shadow, sticky, variants};
use crate::config::{self, Field};
use crate::diagnostic::Code;
use crate::endpoint::UpstreamId;
use crate::migration::{Dial, Percent, Pin, Policy, Stage};
use crate::route::Rule;

/// `rule`: what the route takes, where it could be read.
pub(super) fn compile(site: Site<'_>, rule: Option<&Rule>, draft: &mut Draft<'_>) -> Option<Policy> {
    let route = site.route;
    let units = sticky::compile(site, draft);
    let cohort = cohort(site, draft);
    let stage = match &route.stage {
        Field::Given(given) => given.value,
        other => {
            if other.is_absent() {
                missing_stage(site, draft);
            }
            service::check_name(site, draft);
            return None;
        }
    };
    let service = service::find(site, stage, draft);
    let weight = weight(site, stage, draft);
    let variants = variants::compile(site, stage, draft);
    let target = if let Named::Service(service) = &service { Some(*service) } else { None };
    let fallback = fallback::compile(site, stage, draft);
    let shadow = shadow::compile(site, stage, target, draft);
    let safe_calls = safe_methods::compile(site, rule, draft);
    let gate = gate::compile(site, stage, shadow.as_ref(), draft);
    if matches!(service, Named::Wrong) {
        return None;
    }
    let variants = variants?;
    let upstreams = variants.iter().map(|variant| variant.upstream).chain(target.map(|service| service.id));
    let balanced_by_unit = upstreams.chain([UpstreamId::MONOLITH]).any(|id| site.names.by_unit.contains(&id));
    Some(Policy {
        dial: Dial { stage: compiled(stage), weight: weight? },
        service: target.map(|service| service.id),
        variants,
        sticky: units,
        issue_cookie: route.issue_cookie.or(true),
        cohort,
        pin: route
            .pin
            .get()
            .and_then(|limit| limit.0)
            .map(|silence| Pin { silence, cookie: format!("multilith_pin_{}", site.name()).into() }),
        fallback,
        shadow,
        safe_calls,
        balanced_by_unit,
        shared_cache: route.shared_cache.or(false),
        gate,
    })
}

/// The route as if the file had said this.
pub(super) fn put_dial(route: &mut config::Route, dial: Dial) {
    let stage = match dial.stage {
        Stage::Monolith => config::Stage::Monolith,
        Stage::Shadow => config::Stage::Shadow,
        Stage::Canary => config::Stage::Canary,
        Stage::Split => config::Stage::Split,
        Stage::Migrated => config::Stage::Migrated,
        Stage::Retired => config::Stage::Retired,
    };
    let Field::Given(written) = &mut route.stage else { return };
    written.value = stage;
    let (key, span) = (written.key.clone(), written.span.clone());
    route.weight = if dial.stage == Stage::Canary {
        Field::Given(config::Given { key, span, value: config::Percent(dial.weight.buckets()) })
    } else {
        Field::Absent
    };
}

fn missing_stage(site: Site<'_>, draft: &mut Draft<'_>) {
    let first = if site.route.service.is_absent() { "monolith" } else { "shadow" };
    let [others @ .., last] = Stage::ALL.map(Stage::as_str);
    draft.say(
        Code::MissingStage,
        site.entry.key.clone(),
        format!("the route `{}` has no stage", site.name()),
        "`stage` is missing",
        format!("add `stage = \"{first}\"`; the stages are {} and {last}", others.join(", ")),
    );
}

/// The service's share: as given in a canary, all or nothing in the other stages.
fn weight(site: Site<'_>, stage: config::Stage, draft: &mut Draft<'_>) -> Option<Percent> {
    let whole = if compiled(stage).is_moved() { Percent::EVERYBODY } else { Percent::NOBODY };
    match (&site.route.weight, stage) {
        (Field::Given(given), config::Stage::Canary) => Some(percent(given.value)),
        (Field::Absent, config::Stage::Canary) => {
            draft.say(
                Code::MissingWeight,
                site.route.stage.span().unwrap_or_else(|| site.entry.key.clone()),
                format!("`{}` is a canary without a weight", site.name()),
                "needs a weight",
                "add `weight = \"1%\"`, the service's share of the clients",
            );
            None
        }
        (Field::Wrong, config::Stage::Canary) => None,
        (Field::Given(given), _) => {
            let word = stage.word();
            let help = match stage {
                config::Stage::Split => "remove it; each variant has a weight of its own".to_owned(),
                _ => format!("remove it, or write `stage = \"canary\"`: in `{word}` nobody is divided"),
            };
            draft.say(
                Code::UnexpectedWeight,
                given.key.clone(),
                format!("`{}` is in stage `{word}`, which has no weight", site.name()),
                "no weight here",
                help,
            );
            None
        }
        (Field::Absent | Field::Wrong, _) => Some(whole),
    }
}

fn cohort(site: Site<'_>, draft: &mut Draft<'_>) -> Box<str> {
    let Some(given) = site.route.cohort.given() else { return site.name().into() };
    super::check_name("cohort", &given.value, given.span.clone(), draft);
    given.value.as_str().into()
}
