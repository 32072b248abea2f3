//! `multilith explain METHOD URL`: which route takes a request and why, by the code that routes requests.

use std::fmt::Write as _;

use super::compiled::compiled;
use super::{Exit, ExplainArgs, term};
use crate::proxy::{ExplainError, ExplainRequest, Explained, ExplainedKey, explain as explain_request};
use crate::reload::ConfigSource;

pub fn explain(args: &ExplainArgs) -> Exit {
    let source = ConfigSource::Files(args.config.clone());
    let snapshot = match compiled(&source, false) {
        Ok(snapshot) => snapshot,
        Err(exit) => return exit,
    };
    let asked = match asked(args) {
        Ok(asked) => asked,
        Err(error) => {
            term::fail(&error.to_string(), None);
            return Exit::Failed;
        }
    };
    match explain_request(&snapshot, &asked, snapshot.server.monolith_only, &|_| None) {
        Ok(explained) if args.json => term::json(&explained),
        Ok(explained) => term::out(&describe(&explained)),
        Err(error @ ExplainError::Refused(..)) => {
            term::fail(&error.to_string(), None);
            return Exit::Findings;
        }
        Err(error) => {
            term::fail(&error.to_string(), None);
            return Exit::Failed;
        }
    }
    Exit::Fine
}

fn asked(args: &ExplainArgs) -> Result<ExplainRequest, ExplainError> {
    Ok(ExplainRequest {
        method: args.method.clone(),
        url: args.url.clone(),
        headers: args.headers.iter().map(|header| ExplainRequest::header(header)).collect::<Result<_, _>>()?,
        client: args.client,
    })
}

fn describe(explained: &Explained) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<10} {value}").expect("writing to a string");
    line("route", explained.route.as_deref().unwrap_or("none (unmatched)"));
    line("stage", explained.stage);
    line("side", &explained.side);
    line("why", &explained.reason);
    let endpoint = explained.endpoint.as_ref().map_or(String::new(), |endpoint| format!(" ({endpoint})"));
    line("upstream", &format!("{}{endpoint}", explained.upstream));
    for (word, said) in explained.facts() {
        line(word, &said);
    }
    if !explained.keys.is_empty() {
        text.push_str("\nof the file also\n");
        for ExplainedKey { key, effect } in &explained.keys {
            writeln!(text, "  {key}: {effect}").expect("writing to a string");
        }
    }
    if !explained.candidates.is_empty() {
        text.push_str("\nroutes that did not get it\n");
        for candidate in &explained.candidates {
            writeln!(text, "  {}: {}", candidate.route, candidate.lost).expect("writing to a string");
        }
    }
    if !explained.near_misses.is_empty() {
        text.push_str("\nroutes that it just misses\n");
        for near in &explained.near_misses {
            writeln!(text, "  {} takes `{}`: {}", near.route, near.path, near.why).expect("writing to a string");
        }
    }
    for (heading, message) in explained.messages() {
        writeln!(text, "\n{heading}").expect("writing to a string");
        for line in message.lines() {
            writeln!(text, "  {line}").expect("writing to a string");
        }
    }
    text
}
