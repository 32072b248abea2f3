//! `multilith inventory`: the endpoints that a running proxy has seen, or that an access log shows.

mod from_log;
mod screen;

use std::time::Duration;

use super::admin_client::AdminClient;
use super::compiled::compiled;
use super::{AdminArgs, Exit, InventoryArgs, term};
use crate::compile::Snapshot;
use crate::diagnostic::plural;
use crate::inventory::{InventoryReport, NOT_SURE_YET, openapi, rfc3339, suggested_routes};
use crate::plan::find_routes;
use crate::reload::ConfigSource;
use from_log::{Learned, from_log};
use screen::screen;

pub fn inventory(args: &InventoryArgs) -> Exit {
    let found = match &args.from_log {
        Some(log) => offline(args, log),
        None => live(args),
    };
    let Learned { mut report, until, none_yet } = match found {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let names = report.endpoints.iter().filter_map(|endpoint| endpoint.route.clone()).collect();
    let known = report.endpoints.len();
    if args.writes {
        report.endpoints.retain(|endpoint| endpoint.writes);
    }
    if let Some(silent) = args.silent
        && !keep_silent(&mut report, until, silent)
    {
        let since = report.since.as_deref().unwrap_or("an unknown time");
        term::fail(
            &format!("nothing is known of a time so long ago: there are requests since {since}"),
            Some("give a longer log, or a shorter --silent"),
        );
        return Exit::Findings;
    }
    // A file or a document without a route says nothing of the reason.
    if known == 0 && (args.suggest || args.openapi) {
        term::say(none_yet);
    }
    if args.suggest {
        term::out(&suggested_routes(&report, names));
    } else if args.openapi {
        term::json(&openapi(&report));
    } else if args.json {
        term::json(&report);
    } else {
        term::out(&screen(&report, known, none_yet, &rfc3339(until).unwrap_or_default(), term::width()));
    }
    Exit::Fine
}

fn offline(args: &InventoryArgs, log: &str) -> Result<Learned, Exit> {
    let snapshot = snapshot(args)?;
    let mut learned = from_log(args, log, snapshot.as_ref())?;
    if let Some(snapshot) = &snapshot {
        find_routes(&mut learned.report, snapshot, &|_| None);
    }
    Ok(learned)
}

fn live(args: &InventoryArgs) -> Result<Learned, Exit> {
    let admin = AdminArgs {
        admin: args.admin.clone(),
        token: args.token.clone(),
        config: if args.config.is_empty() { vec!["routes.toml".into()] } else { args.config.clone() },
    };
    let answer = AdminClient::new(&admin).and_then(|client| client.get::<InventoryReport>("/api/v1/inventory"));
    match answer {
        Ok(mut report) => {
            report.complete();
            Ok(Learned { report, until: crate::learn::now(), none_yet: NOT_SURE_YET })
        }
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            Err(Exit::Failed)
        }
    }
}

/// The file in force, where there is one: its routes are known, not guessed.
fn snapshot(args: &InventoryArgs) -> Result<Option<Snapshot>, Exit> {
    if args.config.is_empty() {
        return Ok(None);
    }
    compiled(&ConfigSource::Files(args.config.clone()), false).map(Some)
}

/// Keeps the endpoints without a request in the last part of what is known. `false`: it does not go back so far.
fn keep_silent(report: &mut InventoryReport, until: u32, silent: Duration) -> bool {
    let minutes = u32::try_from(silent.as_secs() / 60).unwrap_or(u32::MAX);
    let since = report.since_minute();
    if since == 0 || until.saturating_sub(since) < minutes {
        return false;
    }
    report.endpoints.retain(|endpoint| endpoint.last_minute + minutes <= until);
    let before = report.endpoints.len();
    report.endpoints.retain(|endpoint| endpoint.last_minute > 0 && !endpoint.untimed);
    let left_out = before - report.endpoints.len();
    if left_out > 0 {
        let those = plural(left_out, "endpoint");
        term::say(&format!(
            "{those} left out: some of their requests have no time that is known, so nobody knows if they are silent"
        ));
    }
    true
}
