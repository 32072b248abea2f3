//! Learns from an access log.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write as _};

use crate::cli::import::known_paths;
use crate::cli::{Exit, InventoryArgs, term};
use crate::compile::Snapshot;
use crate::inventory::{InventoryReport, Observation, Tree, hash, read_log_line};
use crate::route::normalise_bytes;

/// A longer line is garbage; its rest is read and thrown away.
const LONGEST_LINE: usize = 64 * 1024;
/// Lines between two looks at the progress bar.
const BAR_EVERY: u64 = 20_000;

/// Counts of a log's lines.
#[derive(Debug, Default, Clone, Copy)]
struct Lines {
    all: u64,
    garbage: u64,
    first_garbage: u64,
    refused: u64,
    /// Dated later than this machine's clock says.
    future: u64,
    /// Without a time that can be read.
    untimed: u64,
    clients: Clients,
}

/// The clients that a log names.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Clients {
    #[default]
    Unnamed,
    /// By its hash.
    One(u64),
    Several,
}

impl Clients {
    fn with(self, client: &str, hash: u64) -> Self {
        match self {
            same if client == "-" || same == Self::One(hash) => same,
            Self::Unnamed => Self::One(hash),
            _ => Self::Several,
        }
    }

    const fn none_yet(self) -> &'static str {
        match self {
            Self::Unnamed => {
                "an endpoint is listed once three answers went to two clients or more; this log names no client: write its address into it"
            }
            Self::One(_) => {
                "an endpoint is listed once three answers went to two clients or more; this log names one client for all requests: behind a balancer, log the address that it forwards"
            }
            Self::Several => {
                "an endpoint is listed once three answers went to two clients or more, and there is none in this log: give a longer one"
            }
        }
    }
}

/// The endpoints from a log or a running proxy.
pub(super) struct Learned {
    pub report: InventoryReport,
    /// The last minute that is known.
    pub until: u32,
    /// Why no endpoint may be listed.
    pub none_yet: &'static str,
}

pub(super) fn from_log(args: &InventoryArgs, name: &str, snapshot: Option<&Snapshot>) -> Result<Learned, Exit> {
    let mut tree = Tree::default();
    for template in &args.literal {
        tree.give(template, false);
    }
    for template in &args.parameter {
        tree.give(template, true);
    }
    for list in &args.known {
        for path in known_paths(list.from, &list.file)? {
            tree.give(&path, false);
        }
    }
    if let Some(snapshot) = snapshot {
        for route in &snapshot.routes {
            for template in &route.rule.paths {
                tree.give(template.as_str(), false);
            }
        }
    }
    let lines = learn(name, snapshot, &mut tree).map_err(|error| {
        term::fail(&format!("`{name}` cannot be read: {error}"), Some("name an access log, or - for standard input"));
        Exit::Failed
    })?;
    if lines.garbage > 0 {
        term::say(&format!(
            "{} of {} lines are no requests in the common, combined or JSON format; the first is line {}",
            lines.garbage, lines.all, lines.first_garbage
        ));
    }
    if lines.refused > 0 {
        term::say(&format!("{} requests have a path that the proxy would refuse with 400", lines.refused));
    }
    if lines.future > 0 {
        term::say(&format!("{} requests are dated more than a day ahead: their time is not taken", lines.future));
    }
    if lines.untimed > 0 {
        term::say(&format!("{} requests have no time that can be read", lines.untimed));
    }
    if lines.all == lines.garbage {
        term::fail("there is no request in the log", Some("the common, combined and JSON formats are read"));
        return Err(Exit::Findings);
    }
    tree.settle_for_display();
    let mut report = InventoryReport::of(&tree);
    report.dropped += lines.refused;
    Ok(Learned { report, until: tree.totals.until, none_yet: lines.clients.none_yet() })
}

fn learn(name: &str, snapshot: Option<&Snapshot>, tree: &mut Tree) -> std::io::Result<Lines> {
    let (input, size): (Box<dyn Read>, u64) = if name == "-" {
        (Box::new(std::io::stdin()), 0)
    } else {
        let file = File::open(name)?;
        let size = file.metadata()?.len();
        (Box::new(file), size)
    };
    let mut input = BufReader::with_capacity(256 * 1024, input);
    let matching = snapshot.map(|snapshot| snapshot.matching).unwrap_or_default();
    // A zone that is written wrongly makes less.
    let tomorrow = crate::learn::now() + 24 * 60;
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
        lines.untimed += u64::from(found.minute == 0);
        let is_future = found.minute > tomorrow;
        lines.future += u64::from(is_future);
        let client = hash(&found.client);
        lines.clients = lines.clients.with(&found.client, client);
        tree.add(&Observation {
            method: &found.method,
            path: path.as_str(),
            status: found.status,
            // No format of a log says it.
            location: 0,
            client: u32::try_from(client >> 32).expect("32 bits are left"),
            agent: &found.agent,
            weight: 1,
            minute: if is_future { 0 } else { found.minute },
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

/// A progress bar: how far the log is read.
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
