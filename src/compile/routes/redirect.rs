//! The redirect that answers in the place of a service.

use http::Method;

use super::super::draft::Draft;
use super::Site;
use crate::config::Stage;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::route::{Redirect, Template};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
const DEFAULT_STATUS: u16 = 308;

/// `templates` are the route's paths, empty if they could not be read.
pub(super) fn compile(site: Site<'_>, templates: &[Template], draft: &mut Draft<'_>) -> Option<Redirect> {
    let given = site.route.redirect.given()?;
    let stage = site.route.stage.given();
    if let Some(stage) = stage.filter(|stage| !matches!(stage.value, Stage::Migrated | Stage::Retired)) {
        let word = stage.value.word();
        draft.say(
            Code::RedirectInStage,
            stage.span.clone(),
            format!("`{}` redirects, which stage `{word}` cannot do", site.name()),
            "somebody else answers here",
            "write `stage = \"migrated\"`, under which the big red button gives it to the monolith, or `\"retired\"`; or remove `redirect`",
        );
    }
    without_effect(site, draft);
    let status = given.value.status.given();
    if let Some(status) = status.filter(|status| !STATUSES.contains(&status.value)) {
        draft.say(
            Code::OutOfRange,
            status.span.clone(),
            format!("{} is not the status of a redirect", status.value),
            "not a redirect",
            "write 308 or 301 for good, 307 or 302 for now, 303 for a page behind a form; 307 and 308 keep the method",
        );
    }
    let to = given.value.to.given()?;
    if let Some(same) = to_itself(site, &to.value, status.map_or(DEFAULT_STATUS, |status| status.value)) {
        draft.push(
            Diagnostic::new(
                Code::RedirectLoop,
                format!("`{}` redirects to the path that it takes itself", site.name()),
            )
            .at(to.span.clone())
            .label("its clients go round in circles")
            .related(same, "the path")
            .help("write the address that answers, such as `to = \"/new/{id}\"`, or that of another host"),
        );
    }
    match Redirect::parse(&to.value, status.map_or(DEFAULT_STATUS, |status| status.value), templates) {
        Ok(redirect) => Some(redirect),
        // Without a path there is nothing to say of its parameters.
        Err(_) if templates.is_empty() => None,
        Err(error) => {
            draft.invalid_template(&to.span, &to.value, error, "not an address to redirect to");
            None
        }
    }
}

/// The path of the route that a redirect leads to again: with the same method, or with GET, which the route takes too. Conditions
/// may have changed until then.
fn to_itself(site: Site<'_>, to: &str, status: u16) -> Option<Span> {
    let route = site.route;
    let methods = route.methods.get().map(|methods| methods.0.as_slice()).unwrap_or_default();
    let takes_get = methods.is_empty() || methods.iter().any(|item| item.value == Method::GET);
    let conditional = [route.headers.is_absent(), route.cookies.is_absent(), route.query.is_absent()] != [true; 3];
    if conditional || !takes_get && !matches!(status, 307 | 308) {
        return None;
    }
    let paths = route.path.get().map(|paths| paths.0.as_slice()).unwrap_or_default();
    let plain = |template: &str| template.replace("{*", "{");
    paths.iter().find(|item| plain(&item.value) == plain(to)).map(|item| item.span.clone())
}

/// Keys for a service that is not asked.
fn without_effect(site: Site<'_>, draft: &mut Draft<'_>) {
    let route = site.route;
    let auth = route.auth.get();
    let keys = [
        ("service", route.service.key()),
        ("fallback", route.fallback.key()),
        ("shadow", route.shadow.key()),
        ("fault", route.fault.key()),
        ("rewrite", route.rewrite.key()),
        ("answer", route.answer.key()),
        ("call", route.call.key()),
        ("safe_methods", route.safe_methods.key()),
        ("auth.forward", auth.and_then(|auth| auth.forward.key())),
        ("auth.exchange", auth.and_then(|auth| auth.exchange.key())),
    ];
    for (key, place) in keys {
        let Some(place) = place else { continue };
        draft.say(
            Code::UselessSetting,
            place,
            format!("`{key}` of `{}` has no effect: the redirect answers, and no service is asked", site.name()),
            "no effect",
            format!("remove `{key}`, or remove `redirect`"),
        );
    }
}
