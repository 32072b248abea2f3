//! Warns of copies that prove nothing: none of the route's requests is copied, or no answer is compared.

use http::Method;

use super::super::draft::Draft;
use super::Site;
use crate::config::{self, Field, Given, Item, Stage};
use crate::diagnostic::{Code, Diagnostic};
use crate::migration::{CompareSettings, Percent, Shadow, WriteCopies, is_safe};
use crate::route::MethodSet;

/// `methods`: those of the route, `None` for all. `copies`: where the stage sends any.
pub(super) fn check(site: Site<'_>, methods: Option<&MethodSet>, copies: Option<&Shadow>, draft: &mut Draft<'_>) {
    let (Some(copies), Some(stage)) = (copies, site.route.stage.get().copied()) else { return };
    if matches!(site.route.shadow, Field::Wrong) || matches!(site.route.methods, Field::Wrong) {
        return;
    }
    let written = site.route.shadow.get().map(|shadow| &**shadow);
    if nothing_sampled(site, copies, written, draft) {
        return;
    }
    // Calls of gRPC that are declared safe are copied as a GET is.
    let declares = site.route.safe_methods.get().is_some_and(|list| !list.0.is_empty());
    if !(declares && copies.methods.contains(&Method::GET)) {
        if nothing_copied(site, stage, methods, copies, written, draft) {
            return;
        }
        some_not_copied(site, stage, copies, draft);
    }
    never_asked(site, methods, written, draft);
    nothing_compared(site, stage, copies, written, draft);
}

fn nothing_sampled(site: Site<'_>, copies: &Shadow, written: Option<&config::Shadow>, draft: &mut Draft<'_>) -> bool {
    let sample = written.and_then(|shadow| shadow.sample.given());
    let Some(given) = sample.filter(|_| copies.sample == Percent::NOBODY) else { return false };
    draft.say(
        Code::ShadowCopiesNothing,
        given.span.clone(),
        format!("`{}` copies nothing: its `sample` is 0%", site.name()),
        "no copies",
        "write `sample = \"1%\"` or more",
    );
    true
}

/// The route takes no method that is copied.
fn nothing_copied(
    site: Site<'_>,
    stage: Stage,
    methods: Option<&MethodSet>,
    copies: &Shadow,
    written: Option<&config::Shadow>,
    draft: &mut Draft<'_>,
) -> bool {
    let named: Vec<_> = site.route.methods.get().map(|list| list.0.as_slice()).unwrap_or_default().iter().collect();
    let Some(first) = named.first() else { return false };
    if copies.may_copy_any(methods) {
        return false;
    }
    let given = written.is_some_and(|shadow| !shadow.methods.is_absent());
    let (own, theirs) = (list(named.iter().map(|item| item.value.as_str())), list(copies.methods.names()));
    let told = if given { "" } else { " (the default)" };
    let service = site.route.service.get().map_or("X", String::as_str);
    let unsafe_named = named.iter().any(|item| !is_safe(&item.value));
    let help = if unsafe_named {
        let wanted: Vec<_> = named.iter().map(|item| format!("\"{}\"", item.value)).collect();
        format!(
            "if nothing in `{service}` matters, write `sandbox = true` in `[services.{service}]` and \
             `shadow = {{ methods = [{}], writes = \"sandbox\" }}` here; otherwise {}",
            wanted.join(", "),
            if stage == Stage::Shadow { "stage `shadow` proves nothing here" } else { "remove the `shadow` table" }
        )
    } else {
        format!("name them in the `shadow` table, too: `shadow = {{ methods = [\"{}\"] }}`", first.value)
    };
    draft.push(
        Diagnostic::new(
            Code::ShadowCopiesNothing,
            format!(
                "`{}` copies nothing: `methods` of the route are {own}, `shadow.methods` are {theirs}{told}{}",
                site.name(),
                if unsafe_named && copies.writes == WriteCopies::Never { ", and writes are not copied" } else { "" }
            ),
        )
        .at(site.route.stage.span().unwrap_or_else(|| site.entry.key.clone()))
        .label("no request is copied")
        .related(first.span.clone(), "the route's `methods`")
        .help(help),
    );
    true
}

/// Some of the methods that the route names are not copied, and `shadow.methods` says nothing of them.
fn some_not_copied(site: Site<'_>, stage: Stage, copies: &Shadow, draft: &mut Draft<'_>) {
    if stage != Stage::Shadow || site.route.shadow.get().is_some_and(|shadow| !shadow.methods.is_absent()) {
        return;
    }
    let named = site.route.methods.get().map(|list| list.0.as_slice()).unwrap_or_default();
    let left: Vec<&Item<Method>> = named.iter().filter(|item| !may_be_copied(&item.value, copies)).collect();
    let Some(first) = left.first() else { return };
    let which = list(left.iter().map(|item| item.value.as_str()));
    draft.say(
        Code::UnsafeMethodsNotCopied,
        first.span.clone(),
        format!("{which} requests of `{}` are not copied: `shadow.methods` are `GET` and `HEAD` unless it names others", site.name()),
        "answered by the monolith alone",
        "to try them, too, name them in `shadow.methods` with `writes = \"sandbox\"`; if it is meant so, `shadow.methods = [\"GET\"]` says it",
    );
}

/// `shadow.methods` names what the route does not take.
fn never_asked(site: Site<'_>, methods: Option<&MethodSet>, written: Option<&config::Shadow>, draft: &mut Draft<'_>) {
    let Some(methods) = methods.filter(|methods| !methods.is_all()) else { return };
    let named = written.and_then(|shadow| shadow.methods.get()).map(|list| list.0.as_slice()).unwrap_or_default();
    let takes =
        |method: &Method| methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET));
    let Some(item) = named.iter().find(|item| !takes(&item.value)) else { return };
    draft.say(
        Code::UselessSetting,
        item.span.clone(),
        format!("`{}` in `shadow.methods` has no effect: `methods` of `{}` does not take it", item.value, site.name()),
        "the route gets none",
        format!("remove it here, or add it to the route's own `methods`, which are {}", list(methods.names())),
    );
}

fn nothing_compared(
    site: Site<'_>,
    stage: Stage,
    copies: &Shadow,
    written: Option<&config::Shadow>,
    draft: &mut Draft<'_>,
) {
    let given = written.and_then(|shadow| shadow.compare.given());
    if let Some(settings) = &copies.compare {
        return no_body_compared(site, settings, given, draft);
    }
    let at = match (&site.route.shadow, given) {
        // Elsewhere copies may be meant to warm a service; with a gate, `gate-no-evidence` says it.
        (_, Some(given)) if stage == Stage::Shadow && site.route.gate.is_absent() => given.span.clone(),
        (_, Some(_)) => return,
        (Field::Given(given), _) if given.value.compare.is_absent() => given.key.clone(),
        (Field::Given(_), _) => return,
        _ => site.route.stage.span().unwrap_or_else(|| site.entry.key.clone()),
    };
    let help = match given {
        Some(_) => "remove `compare = false`: in stage `shadow` everything is compared unless the file says otherwise",
        None => "add `compare = {}` to its `shadow` table: `shadow = { compare = {} }`",
    };
    draft.say(
        Code::ShadowComparesNothing,
        at,
        format!(
            "`{}` compares nothing: in stage `{}` the answers to its copies are thrown away",
            site.name(),
            stage.word()
        ),
        "nothing is compared",
        help,
    );
}

/// `ignore` takes the whole body away.
fn no_body_compared(
    site: Site<'_>,
    settings: &CompareSettings,
    given: Option<&Given<config::Switch<config::Compare>>>,
    draft: &mut Draft<'_>,
) {
    let Some(config::Switch::Table(written)) = given.map(|given| &given.value) else { return };
    let items = written.ignore.get().map(Vec::as_slice).unwrap_or_default();
    let Some(item) = items.iter().find(|item| item.value == "$") else { return };
    let no_header = !settings.all_headers && settings.headers.as_ref().is_some_and(Vec::is_empty);
    draft.say(
        Code::ShadowComparesNothing,
        item.span.clone(),
        format!(
            "`{}` compares nothing of a body: `$` ignores all of it, and {} left",
            site.name(),
            if no_header { "only the status is" } else { "only status and headers are" }
        ),
        "the whole body",
        "name the fields that may differ: `ignore = [\"$.updated_at\"]`",
    );
}

fn may_be_copied(method: &Method, copies: &Shadow) -> bool {
    is_safe(method) || copies.writes == WriteCopies::Sandbox
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "all".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use crate::compile::compile;

    #[test]
    fn copies_that_compare_nothing_are_said() {
        let said = |route: &str| {
            let file = format!(
                "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.a]\nurl = \"http://127.0.0.1:2\"\n\
                 [routes.r]\npath = \"/r\"\nservice = \"a\"\n{route}\n"
            );
            let compiled = compile(&file, "routes.toml", &|_| None);
            let found = compiled.diagnostics.iter().find(|found| found.code.as_str() == "shadow-compares-nothing");
            found.map(|found| (found.message.clone(), file[found.span.clone().expect("a place")].to_owned()))
        };
        let (message, place) = said("stage = \"shadow\"\nshadow = { compare = false }").expect("it is said");
        assert!(
            message.starts_with("`r` compares nothing: in stage `shadow`") && place == "false",
            "{message} {place}"
        );
        for (rest, left) in [("", "status and headers are"), (", headers = []", "the status is")] {
            let route = format!("stage = \"shadow\"\nshadow = {{ compare = {{ ignore = [\"$.a\", \"$\"]{rest} }} }}");
            let (message, place) = said(&route).expect("it is said");
            assert!(message.contains(left) && place == "\"$\"", "{message} {place}");
        }
        for quiet in [
            "stage = \"shadow\"",
            "stage = \"shadow\"\nshadow = { compare = { ignore = [\"$.a\"] } }",
            "stage = \"canary\"\nweight = \"1%\"\nshadow = { compare = false }",
        ] {
            assert_eq!(said(quiet), None, "{quiet}");
        }
    }
}
