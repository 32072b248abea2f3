//! The acts: each is asked for on a page of its own, with its sentence and figures, and done by a form.

use std::sync::Arc;

use maud::{Markup, html};

use super::ask::{Question, Why, question, reason};
use super::evidence::{self, EvidenceCommand};
use super::form::{Form, expected};
use super::meaning::{ANEW, NOT_TAKEN_BACK, approved, meaning, words};
use super::outcome::{BadForm, Done, NotNow};
use super::page::{Layout, just_done, prose};
use super::route::{shown_before, sure};
use super::rule::{self, RuleCommand};
use super::shown::{code, count, counted, percent, seconds, sentence};
use super::sides::{is_copied, p99, sides};
use super::verdict::{error_rate, side};
use crate::admin::{Parts, RouteSide, RouteStatus, Window, press, route_status, seen};
use crate::compile::Route;
use crate::diagnostic::plural;
use crate::gate::JournalEntry;
use crate::migration::Stage;
use crate::migration::dial::By;
use crate::reload::{
    Author, MoveMade, MoveRequest, NotAnAct, NotInFile, NotMoved, Preview, ReloadOutcome, ReloadResult, Replicas,
    RequestedMove, VERBS, WrittenAct,
};

/// Warnings that stand in one sentence; the page of the file has all.
const MOST_WARNINGS: usize = 3;
/// Entries among which the last move of a route is looked for.
const LOOKED_AT: usize = 50;

/// The action that a visitor asks for, read from a query or a form.
pub enum Command {
    Press,
    Release,
    Reload,
    Move {
        route: String,
        verb: &'static str,
        asked: RequestedMove,
    },
    /// A line for the file.
    Rule(RuleCommand),
    /// An act on the evidence of comparisons.
    Evidence(EvidenceCommand),
}

impl Command {
    pub fn read(form: &Form) -> Result<Self, BadForm> {
        let route = form.get("route").to_owned();
        match form.get("do") {
            "press" => Ok(Self::Press),
            "release" => Ok(Self::Release),
            "reload" => Ok(Self::Reload),
            "rule" => Ok(Self::Rule(RuleCommand::read(form)?)),
            "reset" | "replay" => Ok(Self::Evidence(EvidenceCommand::read(form)?)),
            word => {
                let verb = VERBS.into_iter().find(|verb| *verb == word).ok_or(NotAnAct::Verb)?;
                Ok(Self::Move { route, verb, asked: asked(verb, form)? })
            }
        }
    }
}

fn asked(verb: &str, form: &Form) -> Result<RequestedMove, NotAnAct> {
    // One form has the fields of all acts.
    let goes = matches!(verb, "promote" | "rollback");
    let field = |name| form.some(name).filter(|_| goes);
    let from_start = verb == "resume" && form.get("from_start") == "1";
    let all = verb == "pause" && form.get("all") == "1";
    WrittenAct { verb, to: field("to"), weight: field("weight"), from_start, all }.read()
}

/// The page that asks. `Err`: it cannot be done, and why.
pub async fn ask(
    frame: &Layout<'_>,
    parts: &Arc<Parts>,
    act: Command,
    (form, word): (&Form, &str),
) -> Result<Markup, NotNow> {
    Ok(match act {
        Command::Press => question(
            frame,
            word,
            &Question {
                title: "Send everything to the monolith?",
                button: "Monolith only",
                class: "red",
                hidden: &[("do", "press")],
                why: Why::Free,
            },
            &html! {
                p { "Every route that is not retired goes to the monolith from the next request on, and nothing is copied. No request is lost. It holds until it is released, over a restart too." }
                p.dim { (reached(frame.parts)) }
            },
        ),
        Command::Release => question(
            frame,
            word,
            &Question {
                title: "Let the routes follow their stages again?",
                button: "Release",
                class: "pri",
                hidden: &[("do", "release")],
                why: Why::Needed,
            },
            &html! {
                p { "From the next request on each route stands where its dial stands: " (reached(frame.parts)) }
            },
        ),
        Command::Reload => question(
            frame,
            word,
            &Question {
                title: "Read the file again?",
                button: "Read it",
                class: "pri",
                hidden: &[("do", "reload")],
                why: Why::Free,
            },
            &html! {
                p { "If it is right it is in force for the next request; if it has a mistake, what is in force stays." }
            },
        ),
        Command::Rule(rule) => rule::ask(frame, rule, word).await?,
        Command::Evidence(command) => evidence::ask(frame, parts, &command, word).await?,
        Command::Move { route, verb, asked } => {
            let row = route_status(frame.parts, &route, Window::default()).ok_or(NotNow::NoRoute)?;
            let preview = frame.parts.reloader.preview(&route, asked)?;
            let (reloader, of) = (Arc::clone(&frame.parts.reloader), route.clone());
            // A disk may take its time, which is not this runtime's.
            let look = move || {
                let moves = if verb == "approve" {
                    reloader.journal().newest(Some(&of), None, LOOKED_AT)
                } else {
                    Ok(Vec::new())
                };
                (
                    reloader.route_under(&of, preview.to),
                    reloader.not_in_file(&of, preview.to),
                    moves.unwrap_or_default(),
                )
            };
            let (under, not_in_file, moves) = tokio::task::spawn_blocking(look).await.map_err(|_| NotNow::File)?;
            let looked = (preview, not_in_file.as_ref(), &*moves);
            moving(frame, (verb, &*under?), &row, looked, (form, word))
        }
    })
}

/// How many routes the button concerns.
fn reached(parts: &Parts) -> String {
    let generation = parts.app.in_force.load();
    let to_service = |stage: Stage| matches!(stage, Stage::Canary | Stage::Split | Stage::Migrated);
    let many = generation.routes.iter().filter(|entry| to_service(entry.dial.stage)).count();
    let retired = generation.routes.iter().filter(|entry| entry.dial.stage == Stage::Retired).count();
    let has = if many == 1 { "has" } else { "have" };
    let stay = if retired == 1 {
        "1 is retired and stays with its own"
    } else {
        &format!("{retired} are retired and stay with theirs")
    };
    format!("{} {has} a service that answers now; {stay}.", plural(many, "route"))
}

fn moving(
    frame: &Layout<'_>,
    (verb, under): (&str, &Route),
    row: &RouteStatus,
    (preview, not_in_file, moves): (Preview, Option<&NotInFile>, &[JournalEntry]),
    (form, word): (&Form, &str),
) -> Markup {
    let Preview { generation, seq, from, to } = preview;
    let route = &*under.name;
    let against = verb == "promote" && !sure(row);
    let needs_reason = against || (verb == "promote" && to.stage == Stage::Retired);
    let said = if form.get("from_start") == "1" { ANEW } else { verb };
    let (title, button, class) = match said {
        "promote" => (format!("Take {route} to {}?", words(to)), format!("Go to {}", words(to)), "pri"),
        "rollback" => (format!("Take {route} back to {}?", words(to)), format!("Back to {}", words(to)), "red"),
        "pause" => (format!("Pause the gate of {route}?"), "Pause".to_owned(), "pri"),
        ANEW => (format!("Begin the gate of {route} anew?"), "Begin anew".to_owned(), "red"),
        "resume" => (format!("Let the gate of {route} go on?"), "Resume".to_owned(), "pri"),
        _ => (format!("Let {route} go to {}?", approved(from.stage)), "Approve".to_owned(), "pri"),
    };
    let expect = format!("{generation}.{seq}");
    let hidden = [
        ("do", verb),
        ("route", route),
        ("to", form.get("to")),
        ("weight", form.get("weight")),
        ("from_start", form.get("from_start")),
        ("expect", expect.as_str()),
    ];
    question(
        frame,
        word,
        &Question { title: &title, button: &button, class, hidden: &hidden, why: Why::needed_if(needs_reason) },
        &html! {
            @if verb != "pause" && holds(frame.parts, to.stage) {
                p.warn { "The big red button is on: it keeps every request at the monolith, and nothing is copied, until it is released. What is said here holds from then on." }
            }
            p { (prose(&meaning((said, under), row, from, to))) }
            (figures(row))
            @if verb == "pause" {
                label { input type="checkbox" name="all" value="1" checked[form.get("all") == "1"]; " Its roll-backs, too: nothing but a person takes the route back then" }
            }
            @if verb == "approve" && row.gate.as_ref().is_some_and(|gate| gate.metrics.is_empty()) { (shown_before(moves)) }
            @if against {
                p.warn { "What is asked for such a move is not shown yet" @if let Some(gate) = &row.gate { ": " (prose(&gate.why)) } "." }
            }
            @match not_in_file {
                _ if from == to => {}
                None => label { input type="checkbox" name="write" value="1" checked[form.get("write") == "1"]; " Write it into the file, too" },
                Some(NotInFile { why, lines }) => {
                    p.warn { (prose(&sentence(why))) " The move is in force all the same, over a restart, too. These lines are for the file:" }
                    div.lines { pre { (code(lines)) } }
                }
            }
        },
    )
}

/// The button keeps the requests of a route in this stage at the monolith.
fn holds(parts: &Parts, stage: Stage) -> bool {
    stage != Stage::Retired && parts.app.live.monolith_only(parts.app.in_force.load().snapshot.server.monolith_only)
}

/// The last five minutes of both sides.
fn figures(row: &RouteStatus) -> Markup {
    let said = |of: &RouteSide| {
        let (requests, errors) = side(row, &of.name);
        let p99 = p99(row, of).map_or_else(|| "–".to_owned(), seconds);
        match error_rate(row, &of.name) {
            Some(rate) => {
                let failed = format!("{} failed ({})", count(errors), percent(rate));
                format!("{} in five minutes, {failed}, p99 {p99}", counted(requests, "request"))
            }
            None if is_copied(row, of) => format!("{} in five minutes, p99 {p99}", counted(row.copies, "copy")),
            None => "not asked in five minutes".to_owned(),
        }
    };
    html! {
        ul.check {
            @for (of, tone) in sides(row) {
                li { span aria-hidden="true" class=(tone.text) { "■" } span { b class=(tone.text) { (of.name) } ": " (said(of)) } }
            }
            @if let Some(rate) = row.mismatch_rate { li { span aria-hidden="true" { "■" } span { (percent(rate)) " of " (count(row.compared)) " compared answers differ" } } }
        }
    }
}

/// Does it.
pub async fn done(parts: &Arc<Parts>, act: Command, form: &Form, who: &str) -> Done {
    let reason = reason(form);
    match act {
        Command::Press => {
            press(parts, true, who, &reason).await;
            Done::Said("Pressed: it holds until it is released, over a restart, too.".to_owned(), None)
        }
        Command::Release if reason.is_empty() => Done::Refused(400, "say why it may be released".to_owned()),
        Command::Release => {
            press(parts, false, who, &reason).await;
            Done::Said("Released: every route follows its stage again.".to_owned(), None)
        }
        Command::Reload => {
            let reloader = Arc::clone(&parts.reloader);
            match tokio::task::spawn_blocking(move || reloader.reload()).await {
                Ok(outcome) if outcome.result == ReloadResult::Refused => {
                    Done::Refused(409, "the file has mistakes: the page of the file has them".to_owned())
                }
                Ok(outcome) => Done::Said(read_again(&outcome), None),
                Err(_) => {
                    Done::Refused(500, "the reload ended in a panic; the last good file stays in force".to_owned())
                }
            }
        }
        Command::Rule(rule) => rule::done(parts, rule, form, who).await,
        Command::Evidence(command) => evidence::done(parts, command, form, who).await,
        Command::Move { route, verb, asked } => moved(parts, (route, verb, asked), form, who, reason).await,
    }
}

async fn moved(
    parts: &Arc<Parts>,
    (route, verb, asked): (String, &'static str, RequestedMove),
    form: &Form,
    who: &str,
    reason: String,
) -> Done {
    let Some((generation, expected)) = expected(form) else {
        return Done::Refused(400, BadForm::Incomplete.to_string());
    };
    // A roll-back is never held up by a file that was loaded meanwhile.
    if verb != "rollback" && parts.app.in_force.load().number != generation {
        return Done::Refused(
            409,
            "a new file came in force meanwhile: look again before you move anything".to_owned(),
        );
    }
    let window = Window::default();
    let Some(row) = route_status(parts, &route, window) else {
        return Done::Refused(404, "there is no such route".to_owned());
    };
    let against = verb == "promote" && !sure(&row);
    let leads_to = parts.reloader.preview(&route, asked).map(|preview| preview.to.stage);
    let retires = matches!(leads_to, Ok(Stage::Retired));
    let held = leads_to.is_ok_and(|stage| holds(parts, stage));
    if reason.is_empty() && verb == "promote" && (against || retires) {
        return Done::Refused(400, "such a move needs a reason".to_owned());
    }
    let judged = row.gate.as_ref().is_some_and(|gate| gate.state != "off");
    let reason = match (against, judged) {
        (true, true) => format!("against the gate: {reason}"),
        (true, false) => format!("not sure yet: {reason}"),
        (false, _) => reason,
    };
    let (write, who, moving) = (form.get("write") == "1", who.to_owned(), Arc::clone(parts));
    let (of, verdict) = (route.clone(), seen(&row, window));
    let turn = move || {
        let author = Author { by: By::Person, who: &who, reason: &reason, verdict };
        // The page before this one asked.
        let unasked = false;
        let request = MoveRequest { route: &of, asked, author, expect_seq: Some(expected), write, unasked };
        let made = moving.reloader.turn(&request)?;
        moving.gates.look_now();
        Ok::<_, NotMoved>(made)
    };
    match tokio::task::spawn_blocking(turn).await {
        Ok(Ok(made)) => Done::Said(told(verb, &made, held), Some(route)),
        Ok(Err(why)) => why.into(),
        Err(_) => Done::Refused(500, "the move ended in a panic".to_owned()),
    }
}

/// The changes of the file, and the part of them that waits for a restart.
fn read_again(outcome: &ReloadOutcome) -> String {
    let generation = outcome.generation;
    let mut text = match outcome.result {
        ReloadResult::Applied => format!("The file is in force as generation {generation}: {}.", outcome.changes),
        _ => format!("The file says what it said: generation {generation} stays in force."),
    };
    for warning in outcome.diagnostics.iter().take(MOST_WARNINGS) {
        text = format!("{text} {}.", warning.message);
    }
    text
}

fn told(verb: &str, made: &MoveMade, held: bool) -> String {
    let dial = |dial: &crate::gate::WrittenDial| match &dial.weight {
        Some(weight) => format!("{} {weight}", dial.stage),
        None => dial.stage.to_owned(),
    };
    let mut text = match verb {
        "pause" if made.latched => "Paused. The route stays rolled back: promote it to begin anew.".to_owned(),
        "pause" if made.paused_all => format!("Paused, roll-backs too. {NOT_TAKEN_BACK}"),
        "pause" => "Paused.".to_owned(),
        "resume" if made.latched => {
            "Not paused any more. The route stays rolled back: promote it to begin anew.".to_owned()
        }
        "resume" if made.from != made.to => format!("The gate begins anew at {}.", dial(&made.to)),
        "resume" => "The gate goes on.".to_owned(),
        "approve" => "Approved.".to_owned(),
        _ if held => format!(
            "{} → {}. The big red button keeps every request at the monolith until it is released.",
            dial(&made.from),
            dial(&made.to)
        ),
        _ => format!("{} → {}, from the next request on.", dial(&made.from), dial(&made.to)),
    };
    match (&made.not_written, made.written) {
        (Some(not), _) => {
            text = format!("{text} The file was not written: {}. Paste: {}", not.why, not.lines.trim());
        }
        (None, Some(true)) => text.push_str(" It stands in the file, too."),
        _ => {}
    }
    let Replicas { in_force, of, .. } = made.replicas;
    if made.local {
        text.push_str(" It is in force on this replica alone, since etcd of the fleet does not answer: the others are told when it does.");
    } else if of > 1 {
        text = format!("{text} {in_force} of {of} replicas have it in force.");
    }
    if !made.kept {
        text.push_str(" It is in force, but could not be written down: a restart will not know of it.");
    }
    text
}

/// The page of an act that was not done: why, and how it stands now.
pub fn not_done(frame: &Layout<'_>, why: &str, route: Option<&str>) -> Markup {
    let row = route.and_then(|route| route_status(frame.parts, route, Window::default()));
    html! {
        div.narrow.stack data-ask {
            (just_done("b", &format!("Not done: {why}")))
            section.card aria-labelledby="ask" {
                div.h { h1 #ask { "Nothing was changed" } }
                div.pad.ask {
                    @if let Some(row) = &row {
                        p { b { (row.name) } " stands at " b { (row.stage) @if let Some(weight) = &row.weight { " " (weight) } } ", entry " (row.dial.seq) " of its journal, by the " (row.dial.by) "." }
                        (figures(row))
                    }
                    div.acts {
                        a.btn href={ (frame.root) "./" } data-cancel { "Close" }
                        @if let Some(row) = &row { a.btn.pri href={ (frame.root) "route/" (row.name) } { "Look at it" } }
                    }
                }
            }
        }
    }
}
