//! A text that is not in force is checked or tried on what was recorded. It is compiled without files, environment or network.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::Parts;
use super::reply::Reply;
use crate::compile::{Compiled, Snapshot, compile_all, redacted};
use crate::diagnostic::{Diagnostics, Entry, Sources, report, report_all};
use crate::learn::AskedNames;
use crate::plan::{DialNow, PlanReport, plan};

/// The value of every variable in a text that a client sends: the environment of this process is not read for it.
const PLACEHOLDER: &str = "http://variable.invalid";
const NAME: &str = "routes.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LearnFor {
    text: String,
    #[serde(deserialize_with = "whole")]
    seconds: u64,
}

/// A day.
const LONGEST_LEARNING: u64 = 86_400;

/// The findings in a text, and what it would change.
pub struct Tried {
    pub diagnostics: Vec<Entry>,
    /// The variables that the text names, and that were not read.
    pub variables: Vec<String>,
    /// The files that the text includes, as it names them; none of them is read.
    pub include: Vec<String>,
    /// `None`: it has mistakes.
    pub plan: Option<PlanReport>,
}

/// Tries a whole file on what was recorded. Where it includes what the file in force includes, the included files are those in force.
pub fn tried(parts: &Parts, text: &str) -> Tried {
    let include = includes(text);
    let mut sources = Sources::one(NAME, text);
    let in_force = Arc::clone(&parts.app.in_force.load().snapshot.sources);
    if !include.is_empty() && in_force.files().first().is_some_and(|main| includes(in_force.text_of(main)) == include) {
        let has_secrets = redacted(text) != text;
        for file in in_force.files().iter().filter(|file| file.included) {
            sources.push(&file.name, &as_sent(in_force.text_of(file), has_secrets), true);
        }
    }
    Tried { include, ..tried_all(parts, &Arc::new(sources)) }
}

/// The same for a configuration of several files.
pub fn tried_all(parts: &Parts, sources: &Arc<Sources>) -> Tried {
    let (snapshot, diagnostics, variables) = compiled(sources);
    let plan = snapshot.map(|snapshot| {
        let generation = parts.app.in_force.load();
        let dials = |id| {
            let entry = generation.route(Some(id));
            let written = entry.state.held().map_or(entry.policy.dial, |held| held.file);
            Some(DialNow { in_force: entry.dial, written })
        };
        let as_sent = in_force_as_sent(&generation.snapshot.sources, sources);
        let old = as_sent.as_ref().unwrap_or(&generation.snapshot);
        plan(old, &dials, &snapshot, &parts.app.learner.recorded())
    });
    Tried { diagnostics: report_all(&diagnostics, sources).diagnostics, variables, include: Vec::new(), plan }
}

/// The files that a text includes, as it names them.
fn includes(text: &str) -> Vec<String> {
    let named = text.parse::<toml::Table>().ok().and_then(|mut table| table.remove("include"));
    match named {
        Some(toml::Value::String(one)) => vec![one],
        Some(toml::Value::Array(all)) => all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// A text in force beside one that was sent: without its secrets where that has none of its own.
fn as_sent(text: &str, has_secrets: bool) -> Cow<'_, str> {
    if has_secrets { Cow::Borrowed(text) } else { redacted(text) }
}

/// The file in force, compiled as the text was: without variables and files, and without its secrets where the text has none of its
/// own, as one from the console's box. Values that only this process knows are no difference then. `None`: it cannot be compiled so.
fn in_force_as_sent(in_force: &Sources, sent: &Sources) -> Option<Snapshot> {
    let has_secrets = redacted(sent.text()) != sent.text();
    let mut sources = Sources::default();
    for file in in_force.files() {
        sources.push(&file.name, &as_sent(in_force.text_of(file), has_secrets), file.included);
    }
    compiled(&Arc::new(sources)).0
}

/// `POST /api/v1/check`: as `check --json`, with the variables that were not read.
pub async fn check(body: Vec<u8>) -> Reply {
    asked(body, |text| {
        let (_, diagnostics, variables) = compiled(&Arc::new(Sources::one(NAME, text)));
        let found = report(&diagnostics, NAME, text);
        Reply::json(200, &json!({ "file": NAME, "diagnostics": found.diagnostics, "variables": variables, "include": includes(text) }))
    })
    .await
}

/// `POST /api/v1/plan`: what the text would change. 409 where it is wrong, with its diagnostics.
pub async fn planned(parts: &Arc<Parts>, body: Vec<u8>) -> Reply {
    let parts = Arc::clone(parts);
    asked(body, move |text| match tried(&parts, text) {
        Tried { diagnostics, plan: None, .. } => {
            let more = json!({ "diagnostics": diagnostics });
            Reply::problem_with(409, "the text has mistakes: nothing can be planned", &more)
        }
        Tried { diagnostics, variables, include, plan: Some(plan) } => {
            let tried = json!({ "diagnostics": diagnostics, "variables": variables, "include": include, "plan": plan });
            Reply::json(200, &tried)
        }
    })
    .await
}

/// A whole number, also where it is written as `600.0`: JSON does not tell them apart.
fn whole<'de, D: Deserializer<'de>>(number: D) -> Result<u64, D::Error> {
    let number = f64::deserialize(number)?;
    if number.fract() != 0.0 || !(0.0..=1e9).contains(&number) {
        return Err(D::Error::custom("`seconds` must be a whole number of 0 or more"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at above")]
    Ok(number as u64)
}

/// `POST /api/v1/plan/learn`: for the given time, requests are also asked what this text asks about; 0 seconds end that, and keep what was
/// recorded.
pub async fn learn(parts: &Arc<Parts>, body: Vec<u8>) -> Reply {
    let parts = Arc::clone(parts);
    let work = move || {
        let sent: LearnFor = match Reply::read(&body, "must be {\"text\": \"…\", \"seconds\": 600}") {
            Ok(sent) => sent,
            Err(reply) => return reply,
        };
        if sent.seconds > LONGEST_LEARNING {
            return Reply::problem(400, "`seconds` is at most 86400");
        }
        if !parts.app.learner.learns() {
            return Reply::problem(409, "`[inventory] learn = false`: nothing is recorded");
        }
        if sent.seconds == 0 {
            parts.app.learner.end_asking_for_plan();
            return Reply::json(200, &json!({ "asked": parts.app.learner.asked().in_words(), "seconds": 0 }));
        }
        let (snapshot, diagnostics, _) = compiled(&Arc::new(Sources::one(NAME, &sent.text)));
        let Some(snapshot) = snapshot else {
            let more = json!({ "diagnostics": report(&diagnostics, NAME, &sent.text).diagnostics });
            return Reply::problem_with(409, "the text has mistakes: what it asks about is not known", &more);
        };
        let asked = parts.app.learner.ask_for_plan(AskedNames::of(&snapshot), Duration::from_secs(sent.seconds));
        Reply::json(200, &json!({ "asked": asked, "seconds": sent.seconds }))
    };
    Reply::of_work(work, "the text could not be looked at").await
}

/// Away from the listener's threads: a megabyte of routes takes its time.
async fn asked(body: Vec<u8>, answer: impl FnOnce(&str) -> Reply + Send + 'static) -> Reply {
    let work = move || match Reply::read::<Sent>(&body, "must be {\"text\": \"…\"}") {
        Ok(sent) => answer(&sent.text),
        Err(reply) => reply,
    };
    Reply::of_work(work, "the text could not be looked at").await
}

/// The snapshot where there is one, what is to say, and the variables that the texts name.
fn compiled(sources: &Arc<Sources>) -> (Option<Snapshot>, Diagnostics, Vec<String>) {
    let variables = RefCell::new(Vec::<String>::new());
    let env = |name: &str| {
        let mut variables = variables.borrow_mut();
        if !variables.iter().any(|known| known == name) {
            variables.push(name.to_owned());
        }
        Some(PLACEHOLDER.to_owned())
    };
    let Compiled { snapshot, diagnostics, .. } = compile_all(sources, &env, &|_| None);
    (snapshot, diagnostics, variables.take())
}
