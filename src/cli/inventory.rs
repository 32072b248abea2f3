//! `multilith inventory --from-log FILE`: the endpoints that an access log shows.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write as _};
use std::time::Duration;

use super::table::{Column, Table};
use super::{Exit, InventoryArgs, term};
use crate::compile::{Compiled, Snapshot, compile_all};
use crate::inventory::{Exchange, Report, Tree, hash, openapi, read_log_line, suggested_routes};
use crate::proxy::{ExplainRequest, explain};
use crate::reload::{Source, environment};
use crate::route::normalise_bytes;

/// A longer line is garbage; its rest is read and thrown away.
const LONGEST_LINE: usize = 64 * 1024;
/// Lines between two looks at the progress bar.
const BAR_EVERY: u64 = 20_000;

/// What became of the lines of a log.
#[derive(Debug, Default, Clone, Copy)]
struct Lines {
    all: u64,
    garbage: u64,
    first_garbage: u64,
    refused: u64,
}

pub fn inventory(args: &InventoryArgs) -> Exit {
    let snapshot = match snapshot(args) {
        Ok(snapshot) => snapshot,
        Err(exit) => return exit,
    };
    let mut tree = Tree::default();
    if let Some(snapshot) = &snapshot {
        for route in &snapshot.routes {
            for template in &route.rule.paths {
                tree.give(template.as_str(), false);
            }
        }
    }
    for template in &args.literal {
        tree.give(template, false);
    }
    for template in &args.parameter {
        tree.give(template, true);
    }
    let lines = match learn(args, snapshot.as_ref(), &mut tree) {
        Ok(lines) => lines,
        Err(error) => {
            term::fail(
                &format!("`{}` cannot be read: {error}", args.from_log),
                Some("name an access log, or - for standard input"),
            );
            return Exit::Failed;
        }
    };
    if lines.garbage > 0 {
        term::say(&format!(
            "{} of {} lines are no requests in the common, combined or JSON format; the first is line {}",
            lines.garbage, lines.all, lines.first_garbage
        ));
    }
    if lines.refused > 0 {
        term::say(&format!("{} requests have a path that the proxy would refuse with 400", lines.refused));
    }
    if lines.all == lines.garbage {
        term::fail("there is no request in the log", Some("the common, combined and JSON formats are read"));
        return Exit::Findings;
    }
    tree.settle_for_display();
    let mut report = Report::of(&tree);
    report.dropped += lines.refused;
    if let Some(snapshot) = &snapshot {
        find_routes(&mut report, snapshot);
    }
    if args.writes {
        report.endpoints.retain(|endpoint| endpoint.writes);
    }
    if let Some(silent) = args.silent
        && !keep_silent(&mut report, &tree, silent)
    {
        term::fail("the log does not go back so far", Some("give a longer log, or a shorter --silent"));
        return Exit::Findings;
    }
    if args.suggest {
        term::out(&suggested_routes(&report));
    } else if args.openapi {
        term::json(&openapi(&report));
    } else if args.json {
        term::json(&report);
    } else {
        term::out(&screen(&report, term::width()));
    }
    Exit::Fine
}

/// The file in force, where there is one: its routes are known, not guessed.
fn snapshot(args: &InventoryArgs) -> Result<Option<Snapshot>, Exit> {
    if args.config.is_empty() {
        return Ok(None);
    }
    let sources = match Source::Files(args.config.clone()).read() {
        Ok(read) => read.sources,
        Err(error) => {
            let diagnostic = error.diagnostic();
            term::fail(&diagnostic.message, diagnostic.help.as_deref());
            return Err(Exit::Failed);
        }
    };
    let Compiled { snapshot, diagnostics, .. } = compile_all(&sources, &environment, &|_| None);
    if snapshot.is_none() {
        term::say(&crate::diagnostic::render_all(&diagnostics, &sources, term::colour_on_stderr()));
        return Err(Exit::Findings);
    }
    Ok(snapshot)
}

fn learn(args: &InventoryArgs, snapshot: Option<&Snapshot>, tree: &mut Tree) -> std::io::Result<Lines> {
    let (input, size): (Box<dyn Read>, u64) = if args.from_log == "-" {
        (Box::new(std::io::stdin()), 0)
    } else {
        let file = File::open(&args.from_log)?;
        let size = file.metadata()?.len();
        (Box::new(file), size)
    };
    let mut input = BufReader::with_capacity(256 * 1024, input);
    let matching = snapshot.map(|snapshot| snapshot.matching).unwrap_or_default();
    let mut lines = Lines::default();
    let mut bar = Bar { shown: std::io::stderr().is_terminal(), size, done: 0 };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = read_line(&mut input, &mut line)?;
        if read == 0 {
            break;
        }
        lines.all += 1;
        bar.done += read;
        if lines.all.is_multiple_of(BAR_EVERY) {
            bar.show(lines.all);
        }
        let text = String::from_utf8_lossy(&line);
        let Some(found) = read_log_line(&text) else {
            if text.trim().is_empty() {
                lines.all -= 1;
                continue;
            }
            lines.garbage += 1;
            if lines.first_garbage == 0 {
                lines.first_garbage = lines.all;
            }
            continue;
        };
        let Ok(path) = normalise_bytes(found.path.as_bytes(), &matching) else {
            lines.refused += 1;
            continue;
        };
        let client = hash(&found.client);
        tree.add(&Exchange {
            method: &found.method,
            path: path.as_str(),
            status: found.status,
            client: u32::try_from(client >> 32).expect("32 bits are left"),
            weight: 1,
            minute: found.minute,
            micros: found.micros,
            monolith: true,
        });
    }
    bar.clear();
    Ok(lines)
}

/// At most [`LONGEST_LINE`] bytes of it are kept. Gives the bytes that were read.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<u64> {
    let mut all = 0;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(all);
        }
        let end = memchr::memchr(b'\n', buffer);
        let taken = end.map_or(buffer.len(), |end| end + 1);
        let room = LONGEST_LINE.saturating_sub(line.len());
        line.extend_from_slice(&buffer[..taken.min(room)]);
        input.consume(taken);
        all += taken as u64;
        if end.is_some() {
            return Ok(all);
        }
    }
}

/// How far the log is read, for a person who waits.
struct Bar {
    shown: bool,
    /// Bytes; 0 where it is not known.
    size: u64,
    done: u64,
}

impl Bar {
    fn show(&self, lines: u64) {
        if !self.shown {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        let share = (self.done * 100).checked_div(self.size).map_or_else(String::new, |share| format!("{share:3} %, "));
        let _ = write!(stderr, "\r{share}{lines} lines").and_then(|()| stderr.flush());
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Keeps the endpoints without a request in the last part of the log. `false`: the log is shorter than that.
fn keep_silent(report: &mut Report, tree: &Tree, silent: Duration) -> bool {
    let minutes = u32::try_from(silent.as_secs() / 60).unwrap_or(u32::MAX);
    let end = tree.totals.until;
    if tree.totals.since == 0 || end.saturating_sub(tree.totals.since) < minutes {
        return false;
    }
    report.endpoints.retain(|endpoint| endpoint.last_minute + minutes <= end);
    true
}

/// Asks the file's own router with an example of each endpoint.
fn find_routes(report: &mut Report, snapshot: &Snapshot) {
    for endpoint in &mut report.endpoints {
        let asked = ExplainRequest {
            method: endpoint.method.to_owned(),
            url: endpoint.example.clone(),
            headers: Vec::new(),
            client: None,
        };
        if let Ok(explained) = explain(snapshot, &asked, false, &|_| None)
            && explained.route.is_some()
        {
            endpoint.route = explained.route;
            endpoint.stage = Some(explained.stage.to_owned());
        }
    }
}

fn screen(report: &Report, width: usize) -> String {
    let routed = report.endpoints.iter().filter(|endpoint| endpoint.route.is_some());
    let (count, requests) = routed.fold((0_u32, 0), |(count, requests), one| (count + 1, requests + one.requests));
    let since = report.since.as_ref().map_or_else(String::new, |since| format!(" since {}", &since[..10]));
    let mut text = format!(
        "{} endpoints, learned from {} requests{since}; {count} have a route ({:.1} % of requests)\n\n",
        report.endpoints.len(),
        grouped(report.requests),
        share(requests, report.requests),
    );
    let mut table = Table::new([
        Column::left("ENDPOINT").may_shrink_to(24),
        Column::left("ROUTE").only_if_filled().may_shrink_to(10),
        Column::left("STAGE").only_if_filled(),
        Column::right("REQUESTS"),
        Column::right("SHARE"),
        Column::right("ERRORS"),
        Column::right("P99").only_if_filled(),
        Column::left("HOW WE KNOW").may_hang(),
    ]);
    for endpoint in &report.endpoints {
        let why: Vec<String> = endpoint.parameters.iter().map(|one| format!("{}: {}", one.name, one.why)).collect();
        let guessed = endpoint.parameters.iter().any(|one| !one.sure && one.kind != "rest");
        table.row([
            format!("{:4} {}", endpoint.method, endpoint.path),
            endpoint.route.clone().unwrap_or_else(|| if guessed { "- (guess)".to_owned() } else { String::new() }),
            endpoint.stage.clone().unwrap_or_else(|| if endpoint.writes { "writes".to_owned() } else { String::new() }),
            grouped(endpoint.requests),
            format!("{:.1} %", share(endpoint.requests, report.requests)),
            format!("{:.1} %", share(endpoint.errors, endpoint.requests)),
            endpoint.p99_seconds.map_or_else(String::new, |seconds| format!("{:.0} ms", seconds * 1e3)),
            why.join(", "),
        ]);
    }
    text.push_str(&table.text(width));
    if report.unknown.requests > 0 {
        let _ = writeln!(
            text,
            "\nnot endpoints: {} requests for about {} paths that the monolith does not know",
            grouped(report.unknown.requests),
            grouped(report.unknown.paths)
        );
    }
    if report.dropped > 0 {
        let _ = writeln!(
            text,
            "not looked at: {} requests with a path too deep, too long or refused",
            grouped(report.dropped)
        );
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 do not occur")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// `1 204 330`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
