//! Which route takes a request, and why: a question by a form, answered by the code that routes requests.

use maud::{Markup, html};

use super::explain_form::{ExplainQuestion, NotAsked};
use super::form::Form;
use super::page::{Layout, prose, said, stage_pill};
use super::shown::{code, plain, sentence};
use super::sides::{MONOLITH, SERVICE, Tone, tone_of};
use crate::admin::explained;
use crate::proxy::Explained;

/// Routes that are named; the others are counted.
const MOST: usize = 40;

pub fn explain(frame: &Layout<'_>, query: &Form) -> Markup {
    let mut question = ExplainQuestion::read(query);
    let given = !question.url.is_empty();
    let route = query.some("route");
    if let (false, Some(name)) = (given, route) {
        let generation = frame.parts.app.in_force.load();
        let entry = generation.named(name);
        question =
            entry.and_then(|entry| Some(ExplainQuestion::of_rule(&entry.route.as_ref()?.rule))).unwrap_or(question);
    }
    let answer = given.then(|| answer(frame, &question));
    html! {
        div.head {
            div {
                @if let (Some(name), false) = (route, given) { p.lab.cr { a href={ (frame.root) "./" } { "Board" } " / " (frame.route_link(name)) } }
                h1 { "Which route takes a request, and why" }
                p.dim { "The code that routes requests says it, by the file, the dials and the button as they stand. Nothing is sent." }
            }
        }
        (boxes(&question))
        @match &answer {
            None => {}
            Some(Ok(answer)) => (drawn(frame, &question, answer)),
            Some(Err(why)) => div #answer data-live { (said("b", &sentence(&why.to_string()))) },
        }
    }
}

fn answer(frame: &Layout<'_>, question: &ExplainQuestion) -> Result<Explained, NotAsked> {
    Ok(explained(frame.parts, &question.request()?)?)
}

fn boxes(question: &ExplainQuestion) -> Markup {
    html! {
        section.card aria-label="The request" {
            form.pad.ask method="get" {
                div.acts.low {
                    label.f.lab { "Method" input type="text" name="method" value=(question.method) size="8" maxlength="40" autocomplete="off" spellcheck="false" required; }
                    label.f.lab.far { "Path, or a whole address" input type="text" name="url" value=(question.url) placeholder="/users/7?full=1" maxlength="4000" autocomplete="off" spellcheck="false" required; }
                    label.f.lab { "Client" input type="text" name="client" value=(question.client) placeholder="10.0.0.7" size="14" maxlength="60" autocomplete="off"; }
                }
                div.acts.low {
                    label.f.lab.far { "Headers, one a line" textarea.few name="headers" rows="2" spellcheck="false" placeholder="X-User-Id: 7" { (question.headers) } }
                    label.f.lab.far { "Cookies" textarea.few name="cookie" rows="2" spellcheck="false" placeholder="session=…; multilith_id=…" { (question.cookie) } }
                }
                div.acts { p.lab { "What is written here becomes a part of this page’s address: no passwords." } button.pri { "Explain" } }
            }
        }
    }
}

fn drawn(frame: &Layout<'_>, question: &ExplainQuestion, answer: &Explained) -> Markup {
    html! {
        div.cols #answer data-live {
            div.stack {
                (decided(frame, answer))
                @for (heading, message) in answer.messages() {
                    section.card {
                        div.h { h2 { (plain(sentence(&heading).trim_end_matches('.'))) } }
                        pre tabindex="0" { (code(&message)) }
                    }
                }
            }
            div.stack {
                (lost(frame, answer))
                @if !answer.near_misses.is_empty() { (near(frame, question, answer)) }
                @if !answer.keys.is_empty() {
                    section.card aria-labelledby="keys-of" {
                        div.h { h2 #keys-of { "Of the file also" } }
                        @for key in &answer.keys { div.note { div.t { code { (plain(&key.key)) } p.dim { (plain(&key.effect)) } } } }
                    }
                }
            }
        }
    }
}

/// The route, the side and why; then all that bears on it.
fn decided(frame: &Layout<'_>, answer: &Explained) -> Markup {
    let tone = tone(frame, answer);
    html! {
        section.card aria-labelledby="won" {
            div.h {
                h2 #won { @match &answer.route { Some(route) => (frame.route_link(route)), None => "No route takes it" } }
                @if answer.route.is_some() { (stage_pill(answer.stage)) }
                span.grow {}
                span.dim { "answered by " @if answer.redirect.is_some() { "the proxy itself" } @else { b class=[tone.map(|tone| tone.text)] { (plain(&answer.upstream)) } } }
            }
            div.pad { p { (prose(&sentence(&answer.reason))) } }
            dl.kv {
                dt { "Side" } dd { b class=[tone.map(|tone| tone.text)] { (plain(&answer.side)) } }
                @if let Some(endpoint) = &answer.endpoint { dt { "Endpoint" } dd { code { (plain(endpoint)) } } }
                @for (name, said) in answer.facts() { dt { (word(name)) } dd { (prose(&said)) } }
                dt { "Not looked at" } dd.dim { "Whether the breaker is open, and whether an endpoint is healthy: the pages of the route and of the upstreams say so." }
            }
        }
    }
}

/// A variant has its own colour, and a redirect none.
fn tone(frame: &Layout<'_>, answer: &Explained) -> Option<Tone> {
    let generation = frame.parts.app.in_force.load();
    let variant = answer.route.as_deref().and_then(|route| tone_of(&generation, route, &answer.side));
    variant.or(match &*answer.upstream {
        "none" => None,
        "monolith" => Some(MONOLITH),
        _ => Some(SERVICE),
    })
}

fn lost(frame: &Layout<'_>, answer: &Explained) -> Markup {
    let all = &answer.candidates;
    html! {
        section.card aria-labelledby="lost" {
            div.h { h2 #lost { "Routes that did not get it" } span.dim { (all.len()) } }
            @if all.is_empty() { p.pad.dim { "No other route’s path takes it." } }
            @for one in all.iter().take(MOST) {
                div.note { div.t { (frame.route_link(&one.route)) p.dim { (prose(&one.lost)) } } }
            }
            @if all.len() > MOST { p.pad.dim { "And " (all.len() - MOST) " more: " code { "multilith explain" } " has them all." } }
        }
    }
}

fn near(frame: &Layout<'_>, question: &ExplainQuestion, answer: &Explained) -> Markup {
    html! {
        section.card aria-labelledby="near" {
            div.h { h2 #near { "Routes that it just misses" } }
            @for near in answer.near_misses.iter().take(MOST) {
                div.note { div.t {
                    (frame.route_link(&near.route)) " takes "
                    a href={ "?" (ExplainQuestion { url: near.path.clone(), ..question.clone() }.query()) } { code { (plain(&near.path)) } }
                    p.dim { (near.why) }
                } }
            }
        }
    }
}

/// The words of a terminal, as a page has room for them.
fn word(name: &str) -> &str {
    match name {
        "proxy" => "PROXY header",
        "limit" => "At once",
        "grpc" => "gRPC",
        "redirect" => "Redirect",
        "timeouts" => "Times",
        "fault" => "Failures on purpose",
        "fallback" => "If it fails",
        "token" => "Token",
        "asked" => "Who is asked first",
        "buffer" => "Bodies held",
        "shadow" => "Copy",
        other => other,
    }
}
