//! The copies of a route's requests: where they go, and that no write goes where it must not.

use std::time::Duration;

use http::Method;

use super::super::draft::Draft;
use super::super::settings::percent;
use super::super::upstreams::Service;
use super::service::compiled;
use super::{Site, compare, edits};
use crate::config::{self, Field, Given, Stage, Writes};
use crate::diagnostic::Code;
use crate::migration::{CopiesTo, Percent, Shadow, WriteCopies, is_safe};
use crate::route::MethodSet;

const DEFAULT_BODY_LIMIT: u64 = 64 * 1024;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_IN_FLIGHT: u32 = 100;

/// `None` where the stage sends no copies.
pub(super) fn compile(site: Site<'_>, stage: Stage, target: Option<Service>, draft: &mut Draft<'_>) -> Option<Shadow> {
    let given = match &site.route.shadow {
        Field::Given(given) => given,
        Field::Absent if stage == Stage::Shadow => {
            return Some(build(&config::Shadow::default(), stage, draft));
        }
        Field::Absent | Field::Wrong => return None,
    };
    let shadow = &given.value;
    check_copies(site, stage, given, draft);
    check_reverse(site, stage, shadow, draft);
    check_writes(site, stage, target, shadow, draft);
    let built = build(shadow, stage, draft);
    let sends = match compiled(stage).copies() {
        CopiesTo::Service => true,
        CopiesTo::Monolith => built.reverse,
        CopiesTo::None => false,
    };
    sends.then_some(built)
}

fn build(shadow: &config::Shadow, stage: Stage, draft: &mut Draft<'_>) -> Shadow {
    let methods = match shadow.methods.get() {
        None => MethodSet::of(&[Method::GET, Method::HEAD]),
        Some(list) => {
            let mut set = MethodSet::default();
            for item in &list.0 {
                set.insert(item.value.clone());
                if item.value == Method::GET {
                    set.insert(Method::HEAD);
                }
            }
            set
        }
    };
    Shadow {
        sample: shadow.sample.get().map_or(Percent::EVERYBODY, |share| percent(*share)),
        methods,
        body_limit: shadow.body_limit.get().map_or(DEFAULT_BODY_LIMIT, |size| size.0),
        timeout: shadow.timeout.or(DEFAULT_TIMEOUT),
        in_flight: shadow.in_flight.or(DEFAULT_IN_FLIGHT),
        reverse: shadow.reverse.or(false),
        writes: match shadow.writes.or(Writes::Never) {
            Writes::Never => WriteCopies::Never,
            Writes::Sandbox => WriteCopies::Sandbox,
        },
        headers: edits::compile(&shadow.set, &Field::Absent, &shadow.remove, draft),
        compare: compare::compile(&shadow.compare, stage == Stage::Shadow, draft),
    }
}

/// A table in a stage without copies is left over from an earlier stage, or written for a later one.
fn check_copies(site: Site<'_>, stage: Stage, given: &Given<Box<config::Shadow>>, draft: &mut Draft<'_>) {
    let help = match stage {
        Stage::Migrated if given.value.reverse.is_absent() => {
            "add `reverse = true` to copy safe requests to the monolith, or remove the table"
        }
        Stage::Shadow | Stage::Canary | Stage::Migrated => return,
        Stage::Monolith => "write `stage = \"shadow\"`, or remove the table",
        Stage::Split | Stage::Retired => "remove the table",
    };
    draft.say(
        Code::ShadowWithoutCopies,
        given.key.clone(),
        format!("`{}` is in stage `{}`, which sends no copies", site.name(), stage.word()),
        "no copies are sent",
        help,
    );
}

fn check_reverse(site: Site<'_>, stage: Stage, shadow: &config::Shadow, draft: &mut Draft<'_>) {
    let Some(reverse) = shadow.reverse.given().filter(|given| given.value) else { return };
    if matches!(stage, Stage::Shadow | Stage::Canary) {
        draft.say(
            Code::ReverseNotMigrated,
            reverse.key.clone(),
            format!("`reverse` has no effect in stage `{}`", stage.word()),
            "no effect",
            "remove it until the route is `migrated`: before that, copies go to the service",
        );
    }
    let unsafe_method = shadow.methods.get().and_then(|list| list.0.iter().find(|item| !is_safe(&item.value)));
    let place = match (unsafe_method, shadow.writes.given().filter(|given| given.value == Writes::Sandbox)) {
        (Some(method), _) => method.span.clone(),
        (None, Some(writes)) => writes.span.clone(),
        (None, None) => return,
    };
    draft.say(
        Code::ShadowWritesToMonolith,
        place,
        format!("`{}` would copy writes to the monolith", site.name()),
        "not while `reverse = true`",
        "with `reverse`, write `methods = [\"GET\", \"HEAD\"]` and no `writes`: the monolith is never sent a write twice",
    );
}

fn check_writes(site: Site<'_>, stage: Stage, target: Option<Service>, shadow: &config::Shadow, draft: &mut Draft<'_>) {
    if !matches!(stage, Stage::Shadow | Stage::Canary) || shadow.reverse.or(false) {
        return;
    }
    let writing = shadow.methods.get().and_then(|list| list.0.iter().find(|item| !is_safe(&item.value)));
    let sandbox = shadow.writes.given().filter(|given| given.value == Writes::Sandbox);
    match (writing, sandbox) {
        (Some(method), None) if !matches!(shadow.writes, Field::Wrong) => draft.say(
            Code::UnsafeMethodsNotCopied,
            method.span.clone(),
            format!("`{}` requests of `{}` are not copied: they may write", method.value, site.name()),
            "not copied",
            "add `writes = \"sandbox\"` if the service may be written to without harm, or remove the method",
        ),
        (None, Some(writes)) => draft.say(
            Code::UselessSetting,
            writes.span.clone(),
            "`writes` has no effect: `shadow.methods` has only safe methods",
            "no effect",
            "add `methods = [\"GET\", \"HEAD\", \"POST\"]` to this table, with the methods that you mean, or remove it; \
             `methods` of the route says only which requests it takes",
        ),
        _ => {}
    }
    if let (Some(writes), Some(target)) = (sandbox, target)
        && !target.sandbox
    {
        let name = site.route.service.get().map_or("", String::as_str);
        draft.say(
            Code::SandboxNeeded,
            writes.span.clone(),
            format!("writes would be copied to `{name}`, which is not declared a sandbox"),
            "not a sandbox",
            format!("add `sandbox = true` to `[services.{name}]` if nothing there matters, or remove `writes`"),
        );
    }
}
