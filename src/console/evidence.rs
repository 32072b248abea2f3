//! A person's acts on the evidence of a route: begin it anew, ask one of its requests again.

use std::sync::Arc;

use maud::{Markup, html};

use super::ask::{Question, Why, question, reason};
use super::differs::sides;
use super::form::{Form, expected};
use super::outcome::{BadForm, Done, NotNow};
use super::page::{Layout, prose};
use super::shown::{count, counted, cut, percent, plain, seconds, sentence};
use crate::admin::{Parts, ask_again, forget, prepared};
use crate::compare::{AgainReport, Report, SideReport, status_word};
use crate::message::percent_encoded;
use crate::proxy::ExplainRequest;
use crate::reload::RequestedMove;

pub enum EvidenceCommand {
    Reset {
        route: String,
    },
    /// By the number of the request.
    Replay {
        route: String,
        number: u64,
    },
}

impl EvidenceCommand {
    pub fn read(form: &Form) -> Result<Self, BadForm> {
        let route = form.get("route").to_owned();
        match form.get("do") {
            "reset" => Ok(Self::Reset { route }),
            _ => Ok(Self::Replay { route, number: form.get("number").parse().map_err(|_| BadForm::Incomplete)? }),
        }
    }
}

/// The page that asks. `Err`: it cannot be done, and why.
pub async fn ask(
    frame: &Layout<'_>,
    parts: &Arc<Parts>,
    command: &EvidenceCommand,
    word: &str,
) -> Result<Markup, NotNow> {
    match command {
        EvidenceCommand::Reset { route } => {
            let preview = parts.reloader.preview(route, RequestedMove::Reset)?;
            let report = parts.app.shadow.report(route, None).ok_or_else(|| NotNow::ComparesNothing(route.clone()))?;
            let expect = format!("{}.{}", preview.generation, preview.seq);
            let asked = Question {
                title: &format!("Forget what was compared on {route}?"),
                button: "Begin anew",
                class: "red",
                hidden: &[("do", "reset"), ("route", route), ("expect", &expect)],
                why: Why::Needed,
            };
            Ok(question(frame, word, &asked, &lost(&report, has_gate(parts, route))))
        }
        EvidenceCommand::Replay { route, number } => {
            let asked = prepared(parts, (route, *number), Vec::new()).await?;
            let given = number.to_string();
            let without = asked.without_credentials;
            let what = html! {
                p { code { (asked.kept.method) " " (plain(&asked.kept.target)) } }
                p { "Both sides are asked once more, now, and their answers compared. No client waits for it, and it is no evidence." }
                @if without { p.warn { "The request carried credentials, which are not kept: without them both sides may refuse it." } }
                label.f { span { "Headers to add " span.dim { "one a line; may be left empty" } } textarea.few name="headers" rows="2" spellcheck="false" placeholder="Authorization: Bearer …" {} }
            };
            let asked = Question {
                title: &format!("Ask request #{number} again?"),
                button: "Ask both sides",
                class: "pri",
                hidden: &[("do", "replay"), ("route", route), ("number", &given)],
                why: Why::Unasked("It changes nothing, and is not written to the journal; the log has your name."),
            };
            Ok(question(frame, word, &asked, &what))
        }
    }
}

fn has_gate(parts: &Parts, route: &str) -> bool {
    let generation = parts.app.in_force.load();
    generation.named(route).is_some_and(|entry| entry.policy.gate.is_some())
}

/// The evidence that is lost afterwards.
fn lost(report: &Report, has_gate: bool) -> Markup {
    let verdicts = &report.verdicts;
    let examples: usize = report.fields.iter().map(|field| field.examples.len()).sum();
    let judged = report.compared + verdicts.undecided + verdicts.incomparable;
    html! {
        p { "What the copies of this route have shown is gone then, for good, and is compared anew from the next request on. No client notices, and the route stays where it stands." }
        ul.check {
            li { span.bad aria-hidden="true" { "■" } span {
                b { (counted(judged, "comparison")) } @if let Some(first) = &report.first_seen { " since " (cut(first, 10)) } ": "
                (count(verdicts.matches)) " match, " (count(verdicts.mismatch)) " mismatch"
                @if let Some(rate) = report.mismatch_rate { " (" (percent(rate)) ")" }
                ", " (count(verdicts.undecided)) " undecided, " (count(verdicts.incomparable)) " incomparable"
                @if report.waiting > 0 { "; " (count(report.waiting)) " wait to be judged" } "."
            } }
            @if !report.fields.is_empty() {
                li { span.bad aria-hidden="true" { "■" } span { b { (counted(report.fields.len() as u64, "field")) } " that differed, with " (counted(examples as u64, "example")) "." } }
            }
            @if report.replays > 0 {
                li { span.mono aria-hidden="true" { "■" } span { "What is noise, learned from " b { (counted(report.replays, "replay")) } ": it is learned again." } }
            }
            @if has_gate { li { span.warn aria-hidden="true" { "■" } span { "What its gate has counted: it judges anew." } } }
        }
    }
}

/// Does it.
pub async fn done(parts: &Arc<Parts>, command: EvidenceCommand, form: &Form, who: &str) -> Done {
    match command {
        EvidenceCommand::Reset { route } => reset(parts, route, form, who).await,
        EvidenceCommand::Replay { route, number } => replayed(parts, (&route, number), form, who).await,
    }
}

async fn reset(parts: &Arc<Parts>, route: String, form: &Form, who: &str) -> Done {
    let reason = reason(form);
    if reason.is_empty() {
        return Done::Refused(400, "say why it is forgotten".to_owned());
    }
    let Some((_, seq)) = expected(form) else {
        return Done::Refused(400, BadForm::Incomplete.to_string());
    };
    if !parts.app.shadow.knows(&route) {
        return Done::Refused(404, NotNow::ComparesNothing(route).to_string());
    }
    let (of, who, resetting) = (route.clone(), who.to_owned(), Arc::clone(parts));
    // A disk may take its time, which is not this runtime's.
    match tokio::task::spawn_blocking(move || forget(&resetting, &of, (&who, &reason), Some(seq))).await {
        Ok(Ok(made)) => Done::Said(format!("The evidence begins anew: #{} of the journal.", made.seq), Some(route)),
        Ok(Err(why)) => why.into(),
        Err(_) => Done::Refused(500, "the reset ended in a panic".to_owned()),
    }
}

async fn replayed(parts: &Arc<Parts>, (route, number): (&str, u64), form: &Form, who: &str) -> Done {
    let given = match ExplainRequest::headers(form.get("headers")) {
        Ok(given) => given,
        Err(why) => return Done::Refused(400, why.to_string()),
    };
    match ask_again(parts, who, (route, number), given).await {
        Ok(report) => Done::Answered(Box::new(report)),
        Err(why) => Done::Refused(why.status(), why.to_string()),
    }
}

/// How both sides answered.
pub fn answers(frame: &Layout<'_>, report: &AgainReport) -> Markup {
    let AgainReport { route, number, differs, .. } = report;
    let (class, word) = match differs {
        Some(true) => ("bad", "they differ"),
        Some(false) => ("good", "they answer alike"),
        None => ("n", "nothing to compare"),
    };
    let name = percent_encoded(route);
    html! {
        div.head { div {
            p.lab.cr { a href={ (frame.root) "./" } { "Board" } " / " (frame.route_link(route)) }
            h1 { "Request #" (number) ", asked again" }
            p.dim { code { (report.method) " " (plain(&report.target)) } }
        } }
        section.card aria-labelledby="again-h" {
            div.h { h2 #again-h { "Both answers" } span class={ "pill f " (class) } { (word) } span.dim { "it is no evidence" } }
            dl.kv {
                dt { span.mono { "monolith" } } dd { (side(&report.monolith)) }
                dt { span.serv { "service" } } dd { (side(&report.service)) }
            }
            @if report.without_credentials { p.pad.warn { "Asked without credentials, which are not kept." } }
            @if let Some(why) = report.incomparable { p.pad { (sentence(&format!("they cannot be compared: {why}"))) } }
            @if *differs == Some(false) && !report.differences.is_empty() { p.pad.dim { "They differ in what the monolith disagrees with itself in." } }
            @for found in &report.differences {
                div.note { div.t {
                    p { code { (plain(&found.field)) } " " span.pill.n { (found.kind.as_str()) } @if found.noise { " " span.pill.n { "noise" } } }
                    (sides(found.control.as_deref(), found.candidate.as_deref(), true))
                } }
            }
            div.pad.acts {
                (frame.act("Ask once more", "btn", &format!("do=replay&route={name}&number={number}")))
                a.btn href={ (frame.root) "route/" (name) } { "To the route" }
            }
        }
    }
}

fn side(side: &SideReport) -> Markup {
    html! {
        @match (&side.status, &side.error) {
            (Some(status), _) => { b { (status_word(status)) } @if let Some(took) = side.seconds { ", first byte after " (seconds(took)) } }
            (None, Some(why)) => span.bad { "no answer: " (prose(why)) },
            (None, None) => span.bad { "no answer" },
        }
    }
}
