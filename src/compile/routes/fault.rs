//! Failures on purpose.

use std::time::Duration;

use super::super::draft::Draft;
use super::super::settings::percent;
use super::Site;
use crate::compile::Fault;
use crate::config::{self, Given, Stage};
use crate::diagnostic::Code;
use crate::endpoint::UpstreamId;
use crate::migration::{Policy, Side};

pub(super) fn compile(site: Site<'_>, policy: Option<&Policy>, draft: &mut Draft<'_>) -> Option<Fault> {
    let given = site.route.fault.given()?;
    let fault = &given.value;
    let no_delay = fault.delay.is_absent() || fault.delay.get().is_some_and(Duration::is_zero);
    if no_delay && fault.status.is_absent() {
        let help = "add `status = 503`, `delay = \"200ms\"`, or both";
        let message = format!("the fault of `{}` does nothing: it has neither `delay` nor `status`", site.name());
        draft.say(Code::MissingKey, given.key.clone(), message, "no failure", help);
    }
    let status = fault.status.given();
    if let Some(wrong) = status.filter(|status| !(400..600).contains(&status.value)) {
        draft.say(
            Code::OutOfRange,
            wrong.span.clone(),
            format!("{} is not the status of a failure", wrong.value),
            "not a failure",
            "write one from 400 to 599, such as `status = 503`",
        );
    }
    let policy = policy?;
    let side = side(site, given, policy, draft)?;
    if let Some(stage) = site.route.stage.given().filter(|stage| matches!(stage.value, Stage::Monolith | Stage::Shadow))
    {
        draft.say(
            Code::UselessSetting,
            given.key.clone(),
            format!(
                "the fault of `{}` has no effect in stage `{}`: the monolith answers",
                site.name(),
                stage.value.word()
            ),
            "no effect",
            "remove it until the service answers clients; for a copy, break the service itself",
        );
    }
    Some(Fault {
        share: percent(*fault.share.get()?),
        delay: fault.delay.get().copied(),
        status: status.map(|status| status.value),
        side,
    })
}

fn side(site: Site<'_>, given: &Given<Box<config::Fault>>, policy: &Policy, draft: &mut Draft<'_>) -> Option<Side> {
    let fault = &given.value;
    let (name, place) = match fault.side.given() {
        Some(side) => (side.value.as_str(), side.span.clone()),
        None if matches!(fault.side, config::Field::Wrong) => return None,
        None => ("service", given.key.clone()),
    };
    let variants = || policy.variants.iter().map(|variant| &*variant.name);
    let position = policy.variants.iter().position(|variant| *variant.name == *name);
    let of_monolith = |index: usize| policy.variants.get(index).is_some_and(|it| it.upstream == UpstreamId::MONOLITH);
    if name == "monolith" && position.is_none() || position.is_some_and(of_monolith) {
        draft.say(
            Code::FaultOnMonolith,
            place,
            format!("the fault of `{}` would fail requests that the monolith answers", site.name()),
            "the monolith's side",
            "name the side of a service: `side = \"service\"`, or in a split a variant that is not the monolith",
        );
        return None;
    }
    match position.and_then(|index| u8::try_from(index).ok()) {
        Some(index) => Some(Side::Variant(index)),
        None if policy.variants.is_empty() && name == "service" => Some(Side::Service),
        None => {
            let help = match draft.nearest(name, variants()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if policy.variants.is_empty() => "write `side = \"service\"`".to_owned(),
                None => {
                    let names: Vec<_> = variants().map(|name| format!("`{name}`")).collect();
                    format!("name a variant: {}", names.join(", "))
                }
            };
            let message = format!("`{}` has no side `{name}`", site.name());
            draft.say(Code::InvalidValue, place, message, "not a side", help);
            None
        }
    }
}
