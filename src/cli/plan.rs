//! `multilith plan NEW`: what a new file would change, judged by recorded requests.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::admin_client::{AdminClient, AdminError};
use super::compiled::compiled;
use super::{AdminArgs, Exit, PlanArgs, term};
use crate::compile::{Route, Snapshot};
use crate::diagnostic::plural;
use crate::learn::{Recorded, read_recorded};
use crate::plan::{DialNow, PlanReport, PlanTraffic, PlannedRoute, number, plan};
use crate::reload::ConfigSource;
use crate::route::{Condition, ConditionKind, ConditionOn};
use crate::store::{KeptDial, Store};

/// Lines about requests that are not recorded yet; the rest is counted.
const MOST_UNRECORDED: usize = 12;

pub fn plan_file(args: &PlanArgs) -> Exit {
    let (old, new) = match (
        compiled(&ConfigSource::Files(args.config.clone()), true),
        compiled(&ConfigSource::file(&args.new), true),
    ) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(exit), _) | (_, Err(exit)) => return exit,
    };
    let database = args
        .traffic
        .clone()
        .unwrap_or_else(|| in_state_dir(args.config.first().map_or(Path::new("routes.toml"), PathBuf::as_path), &old));
    if let Some(time) = args.learn
        && let Err(exit) = learn(args, (&old, &new), time)
    {
        return exit;
    }
    let recorded = match read_recorded(&database) {
        Ok(recorded) => recorded,
        Err(error) if args.traffic.is_some() => {
            term::fail(
                &format!("`{}` cannot be read: {error}", database.display()),
                Some(
                    "name a copy of `multilith.db` from the state directory of a proxy of this version, with its \
                     `multilith.db-wal` beside it if the proxy was running",
                ),
            );
            return Exit::Failed;
        }
        Err(error) => {
            term::say(&format!("no recorded traffic ({error}): the plan says the routes' differences alone"));
            Recorded::default()
        }
    };
    if args.traffic.is_some() && lacks_wal(&database) {
        term::say(&format!(
            "`{0}` has no `{0}-wal` beside it: if it was copied while the proxy ran, what was recorded last is not in it",
            database.display()
        ));
    }
    let dials = dials_now(&database, &old);
    let report = plan(&old, &|id| dials.get(id.index()).copied(), &new, &recorded);
    if let Some(out) = &args.out {
        let saved = json!({
            "version": 1,
            "file": args.new.display().to_string(),
            "from": crate::reload::fingerprint(&old.sources),
            "to": crate::reload::fingerprint(&new.sources),
            "plan": report,
        });
        let text = serde_json::to_string_pretty(&saved).expect("a plan serialises") + "\n";
        if let Err(error) = std::fs::write(out, text) {
            term::fail(&format!("`{}` cannot be written: {error}", out.display()), None);
            return Exit::Failed;
        }
    }
    if args.json {
        term::json(&report);
    } else {
        term::out(&told(&report, &args.new, &args.allow));
    }
    let allowed = |code: &str| args.allow.iter().any(|allowed| allowed == code);
    let dangers = report.routes.iter().flat_map(|route| &route.flags).filter(|flag| flag.danger && !allowed(flag.code));
    if dangers.count() > 0 { Exit::Findings } else { Exit::Fine }
}

/// Where the routes of the file stand, as the journal in this database has it: moved since the file was written, or as it says.
fn dials_now(database: &Path, old: &Snapshot) -> Vec<DialNow> {
    let left: HashMap<Box<str>, KeptDial> = match Store::dials_in(database) {
        Ok(rows) => rows.into_iter().map(|row| (row.route, row.kept)).collect(),
        Err(_) => HashMap::new(),
    };
    let now = |route: &Arc<Route>| {
        let written = route.policy.dial;
        let moved = left.get(&*route.name).filter(|kept| kept.file == written);
        DialNow { in_force: moved.map_or(written, |kept| kept.dial), written }
    };
    old.routes.iter().map(now).collect()
}

/// Whether the database is one with a write-ahead log, and has none: a proxy that stops leaves none, a copy may have forgotten it.
fn lacks_wal(database: &Path) -> bool {
    let mut head = [0; 20];
    let read = std::fs::File::open(database).and_then(|mut file| file.read_exact(&mut head));
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    read.is_ok() && head[18] == 2 && !Path::new(&wal).exists()
}

/// The running proxy records what the new file asks about for `time`; then its database has the records.
fn learn(args: &PlanArgs, (old, new): (&Snapshot, &Snapshot), time: Duration) -> Result<(), Exit> {
    let admin = AdminArgs { admin: args.admin.clone(), token: args.token.clone(), config: args.config.clone() };
    let failed = |error: AdminError| {
        term::fail(&error.to_string(), error.help());
        Exit::Failed
    };
    let client = AdminClient::new(&admin).map_err(failed)?;
    let ask = |seconds: u64| {
        let body = json!({ "text": asking_text(old, new), "seconds": seconds });
        client.post::<serde_json::Value>("/api/v1/plan/learn", &body).map_err(failed)
    };
    let seconds = time.as_secs().max(1);
    // An interrupted plan asks no longer than it would have: the proxy ends it by itself.
    let answer = ask(seconds)?;
    let Some(asked) = answer["asked"].as_array() else {
        term::fail(answer["detail"].as_str().unwrap_or("the proxy does not record"), None);
        return Err(Exit::Failed);
    };
    let asked: Vec<&str> = asked.iter().filter_map(serde_json::Value::as_str).collect();
    let asked = match asked.len() {
        0 => "no headers, cookies, query values or words of paths".to_owned(),
        all if all > MOST_UNRECORDED => {
            format!("{} and {} more", asked[..MOST_UNRECORDED].join(", "), all - MOST_UNRECORDED)
        }
        _ => asked.join(", "),
    };
    term::say(&format!("the proxy records for {seconds} s: {asked}"));
    std::thread::sleep(Duration::from_secs(seconds));
    ask(0).map(|_| ())
}

/// A file that asks what the new one asks: its own text may need files and variables, which the proxy does not read for it. Each
/// route has a host of its own, so that no two are alike.
fn asking_text(old: &Snapshot, new: &Snapshot) -> String {
    let known: HashSet<&str> =
        old.routes.iter().flat_map(|route| &route.rule.paths).map(crate::route::Template::as_str).collect();
    let mut text = String::from("[monolith]\nurl = \"http://127.0.0.1:1\"\n");
    for (number, route) in new.routes.iter().enumerate() {
        let rule = &route.rule;
        let paths: Vec<&str> =
            rule.paths.iter().map(crate::route::Template::as_str).filter(|path| !known.contains(path)).collect();
        if paths.is_empty() && rule.conditions.is_empty() {
            continue;
        }
        let paths: Vec<String> = paths.into_iter().map(quoted).collect();
        let paths = if paths.is_empty() { "\"/\"".to_owned() } else { paths.join(", ") };
        let _ = write!(text, "[routes.r{number}]\nhost = \"r{number}\"\npath = [{paths}]\nstage = \"monolith\"\n");
        for on in ConditionOn::ALL {
            let conditions: Vec<String> = rule.conditions_on(on).map(asked_condition).collect();
            if !conditions.is_empty() {
                let _ = writeln!(text, "{} = {{ {} }}", on.key(), conditions.join(", "));
            }
        }
    }
    text
}

/// JSON's strings are TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace('$', "$$")).to_string()
}

fn asked_condition(condition: &Condition) -> String {
    let what = match &condition.kind {
        ConditionKind::Equal(text) => quoted(text),
        ConditionKind::Regex(regex) => format!("{{ regex = {} }}", quoted(regex.as_str())),
        ConditionKind::Present => "{ present = true }".to_owned(),
        ConditionKind::Absent => "{ absent = true }".to_owned(),
    };
    format!("{} = {what}", quoted(&condition.name))
}

/// A relative state directory is where the program was started; it is looked for beside the file, too.
pub(super) fn in_state_dir(config: &Path, snapshot: &Snapshot) -> PathBuf {
    let folder = &snapshot.server.state_dir;
    let here = folder.join("multilith.db");
    if here.exists() || folder.is_absolute() {
        return here;
    }
    config.parent().map_or(here, |parent| parent.join(folder).join("multilith.db"))
}

fn told(report: &PlanReport, new: &Path, allow: &[String]) -> String {
    let mut text = String::new();
    let traffic = report.traffic;
    let judged = if traffic.shapes == 0 {
        "no traffic to judge by".to_owned()
    } else {
        let stand_for = if traffic.is_sample() {
            format!(", a sample that stands for {}", number(traffic.requests, true))
        } else {
            String::new()
        };
        let since = jiff::Timestamp::from_second(i64::from(traffic.since) * 60).unwrap_or_default();
        format!(
            "judged by {}{stand_for} since {}",
            plural(traffic.shapes, "recorded request"),
            since.strftime("%d %B, %H:%M UTC")
        )
    };
    let _ = writeln!(text, "`{}` will change {}, {judged}\n", new.display(), plural(report.routes.len(), "route"));
    for route in &report.routes {
        one(&mut text, route, traffic);
    }
    beside_routes(&mut text, report);
    for unrecorded in report.unrecorded.iter().take(MOST_UNRECORDED) {
        let _ = writeln!(
            text,
            "  ? {} is not recorded yet; up to {:.1} % of requests could be decided differently: `--learn 10m` records it\n",
            unrecorded.asked,
            unrecorded.share * 100.0
        );
    }
    if let Some(more) = report.unrecorded.len().checked_sub(MOST_UNRECORDED).filter(|more| *more > 0) {
        let _ = writeln!(text, "  ? and {more} more that are not recorded yet\n");
    }
    if !report.needs_restart.is_empty() {
        let _ = writeln!(
            text,
            "  ? needs-restart: `{}` is read only when multilith starts\n",
            report.needs_restart.join("`, `")
        );
    }
    let share = |share: f64| format!("{:.1} %", share * 100.0);
    let unchanged = report.unchanged;
    if traffic.shapes > 0 {
        let _ = writeln!(
            text,
            "  = {} unchanged, {} of requests\n",
            plural(unchanged.routes, "route"),
            share(unchanged.share)
        );
    } else {
        let _ = writeln!(text, "  = {} unchanged\n", plural(unchanged.routes, "route"));
    }
    let summary = report.summary;
    let _ = write!(text, "Plan: {} added, {} changed, {} removed.", summary.added, summary.changed, summary.removed);
    if traffic.shapes > 0 {
        let of = if report.routes.iter().all(|route| route.clients.exact) { "" } else { " of the recorded" };
        let clients = |count: usize, of: &str| {
            if summary.clients_known { format!(" and {count}{of}") } else { String::new() }
        };
        let _ = write!(
            text,
            " {} of requests{}{} move to a service, {}{} move back.",
            share(summary.to_service),
            clients(summary.clients_to_service, of),
            if summary.clients_known { " clients" } else { "" },
            share(summary.back),
            clients(summary.clients_back, ""),
        );
        if summary.redirected > 0.0 {
            let _ = write!(text, " {} are answered by a redirect.", share(summary.redirected));
        }
        if !summary.clients_known {
            text.push_str(" How many clients that are is not known: where a route had no `sticky`, none was recorded.");
        }
    }
    text.push('\n');
    let dangers: Vec<(&str, &str)> = report
        .routes
        .iter()
        .flat_map(|route| route.flags.iter().filter(|flag| flag.danger).map(|flag| (flag.code, &*route.name)))
        .collect();
    if !dangers.is_empty() {
        let named: Vec<String> = dangers.iter().map(|(code, route)| format!("{code} ({route})")).collect();
        let mut codes: Vec<&str> =
            dangers.iter().map(|(code, _)| *code).filter(|code| !allow.iter().any(|one| one == code)).collect();
        codes.sort_unstable();
        codes.dedup();
        let _ = write!(text, "{}: {}.", plural(dangers.len(), "danger"), named.join(", "));
        if !codes.is_empty() {
            let _ = write!(text, " Say --allow {} to exit 0.", codes.join(","));
        }
        text.push('\n');
    }
    text
}

/// Tables and upstreams: another upstream may answer although no route changes.
fn beside_routes(text: &mut String, report: &PlanReport) {
    if report.tables.is_empty() {
        return;
    }
    let tables: Vec<String> = report.tables_in_words().map(|(table, keys)| format!("[{table}]{keys}")).collect();
    let _ = writeln!(text, "  ~ also changes: {}", tables.join(", "));
    for upstream in &report.upstreams {
        let _ = writeln!(text, "      {} {}  {}", sign(upstream.change), upstream.name, upstream.what.join("; "));
    }
    text.push('\n');
}

fn sign(change: &str) -> char {
    match change {
        "added" => '+',
        "removed" => '-',
        _ => '~',
    }
}

fn one(text: &mut String, route: &PlannedRoute, traffic: PlanTraffic) {
    let _ = writeln!(text, "  {} {}  {}", sign(route.change), route.name, route.what.join("; "));
    let clients = route.clients;
    if traffic.shapes > 0 && clients.to_service + clients.back > 0 {
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let share = |part: usize| format!("{:.1} %", number(part) * 100.0 / number(clients.all.max(1)));
        let back = match clients.back {
            0 if clients.exact => "nobody moves back".to_owned(),
            0 => "none of the recorded moves back".to_owned(),
            back if clients.exact => format!("{back} move back"),
            back => format!("about {} move back", share(back)),
        };
        let to = clients.to_service;
        // Of a sample, a share is known and a number is not.
        let moved = if clients.exact {
            format!("{to} of {} clients ({}) move to the service", clients.all, share(to))
        } else {
            format!(
                "about {} ± {:.1} of the clients move to the service ({to} of {} recorded)",
                share(to),
                clients.margin(to),
                clients.all
            )
        };
        let _ = writeln!(text, "      {moved}; {back}");
    }
    // Counts of a sample are estimates.
    let count = |requests: u64| number(requests, traffic.is_sample());
    for endpoint in route.endpoints.iter().take(12) {
        let (all, before, after) = (count(endpoint.requests), count(endpoint.before), count(endpoint.after));
        let moves = match (endpoint.before == endpoint.after, endpoint.after) {
            (true, 0) => endpoint.copies.unwrap_or("stay with the monolith").to_owned(),
            (true, _) if endpoint.other_service > 0 => {
                format!("{after} at the service, {} of them at another one than now", count(endpoint.other_service))
            }
            (true, _) => format!("{after} at the service, as before"),
            _ => format!("{before} -> {after} at the service"),
        };
        let moves = endpoint.redirects_in_words(&count).unwrap_or(moves);
        let _ = writeln!(text, "      {:6} {}  {all} requests  {moves}", endpoint.method, endpoint.path);
    }
    if let Some(more) = route.endpoints.len().checked_sub(12).filter(|more| *more > 0) {
        let _ = writeln!(text, "      and {more} more endpoints");
    }
    for flag in &route.flags {
        let _ = writeln!(text, "      {} {}: {}", if flag.danger { '!' } else { '?' }, flag.code, flag.message);
    }
    text.push('\n');
}
