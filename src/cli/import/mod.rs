//! `multilith import FROM [FILE]`: a list of routes that another program has becomes a routes file in which all is the
//! monolith's; with `--known`, paths that a running proxy's inventory need not guess.

mod compared;
mod included;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use clap::ValueEnum as _;

use super::admin_client::AdminClient;
use super::arguments::ImportFrom;
use super::moves::claimed;
use super::{Exit, ImportArgs, term};
use crate::compile::{Compiled, compile, is_host};
use crate::inventory::{Imported, NotRead, import as read_list, routes_file};
use crate::learn::MOST_KNOWN;
use crate::reload::environment;
use crate::route::Template;

/// A list beyond this is none.
const LARGEST: u64 = 128 * 1024 * 1024;
const MONOLITH: &str = "http://127.0.0.1:3000";
/// A line that tells what was left out shows this much of it.
const LONGEST_LINE: usize = 240;

pub fn import(args: &ImportArgs) -> Exit {
    let (mut imported, reasons) = match list(args.from, &args.file) {
        Ok(list) => list,
        Err(exit) => return exit,
    };
    if args.known {
        return tell(args, &imported, &reasons);
    }
    let given = args.monolith.as_deref();
    let monolith = if imported.monolith.is_some() { given.unwrap_or("") } else { given.unwrap_or(MONOLITH) };
    let file = routes_file(monolith, &imported);
    let Compiled { diagnostics, snapshot, .. } = compile(&file, "routes.toml", &environment);
    // Where nothing was found, not even where the monolith is, the reader's file keeps what it has.
    if !imported.routes.is_empty() || imported.monolith.is_some() {
        term::out(&file);
    }
    if let Some(snapshot) = &snapshot {
        imported.notes.extend(compared::differences(&imported.cases, snapshot));
    }
    for note in &imported.notes {
        term::say(&shown(&format!("note: {note}")));
    }
    term::say(&summary(&imported, &reasons));
    if diagnostics.counts().0 > 0 {
        term::say(&crate::diagnostic::render(&diagnostics, "routes.toml", &file, term::colour_on_stderr()));
        return Exit::Findings;
    }
    if imported.routes.is_empty() {
        term::fail("there is no route in the list", Some("`multilith import --help` says which output is read"));
        return Exit::Findings;
    }
    Exit::Fine
}

/// The routes of a list, and how often each reason kept something out of it; warns of these.
fn list(from: ImportFrom, file: &str) -> Result<(Imported, BTreeMap<String, usize>), Exit> {
    let text = read(file).map_err(|message| {
        term::fail(&format!("`{file}` cannot be read: {message}"), Some("name a file, or - for standard input"));
        Exit::Failed
    })?;
    let folder = Path::new(file).parent().unwrap_or(Path::new("")).to_owned();
    let list = read_list(from.into(), &text, &|pattern| included::read(&folder, pattern));
    let mut imported = list.map_err(|NotRead(message)| {
        term::fail(&shown(&message), Some("`multilith import --help` says which output is read"));
        Exit::Findings
    })?;
    drop(text);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for skipped in &imported.skipped {
        term::say(&shown(&format!("not imported: {}: {}", skipped.what, skipped.why)));
        *reasons.entry(skipped.why.to_owned()).or_default() += 1;
    }
    imported.routes.retain(|route| {
        let host = route.host.as_deref().unwrap_or("");
        let why = match Template::parse(&route.path) {
            Err(error) => error.to_string(),
            Ok(_) if route.host.is_some() && !is_host(host) => "its host is no name".to_owned(),
            Ok(_) => return true,
        };
        term::say(&shown(&format!("not imported: {host}{}: {why}", route.path)));
        *reasons.entry(why).or_default() += 1;
        false
    });
    Ok((imported, reasons))
}

/// The paths of a list: words before parameters of the same place.
pub(super) fn known_paths(from: ImportFrom, file: &str) -> Result<Vec<String>, Exit> {
    list(from, file).map(|(imported, _)| paths(&imported))
}

fn paths(imported: &Imported) -> Vec<String> {
    let mut paths: Vec<String> = imported.routes.iter().map(|route| route.path.clone()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// `--known`: the running proxy's inventory gets the paths.
fn tell(args: &ImportArgs, imported: &Imported, reasons: &BTreeMap<String, usize>) -> Exit {
    let mut paths = paths(imported);
    if paths.is_empty() {
        term::fail("there is no route in the list", Some("`multilith import --help` says which output is read"));
        return Exit::Findings;
    }
    let all = paths.len();
    paths.truncate(MOST_KNOWN);
    let name = args.from.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let body = serde_json::json!({ "from": name, "paths": paths });
    let told =
        AdminClient::new(&args.admin).and_then(|client| client.act("/api/v1/inventory/known", &body, &claimed()));
    match told {
        Ok(answer) => {
            let known = answer["known"].as_u64().unwrap_or(0);
            term::say(&summary(imported, reasons));
            term::say(&format!("the inventory knows {known} of the {all} paths"));
            if known < all as u64 { Exit::Findings } else { Exit::Fine }
        }
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            Exit::Failed
        }
    }
}

fn summary(imported: &Imported, reasons: &BTreeMap<String, usize>) -> String {
    let missed: usize = reasons.values().sum();
    let reasons: Vec<String> = reasons.iter().map(|(why, count)| format!("{count} {}", shown(why))).collect();
    let end = if missed == 0 { String::new() } else { format!(", {missed} not: {}", reasons.join(", ")) };
    format!("{} imported{end}", imported.routes.len())
}

/// On one line, cut to a bounded length, and without what a terminal would obey.
fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String =
        chars.by_ref().take(LONGEST_LINE).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Why a list of routes cannot be read.
#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    #[error("it has more than 128 MiB")]
    TooLong,
    #[error("it is not UTF-8")]
    NotUtf8,
}

fn read(file: &str) -> Result<String, ListError> {
    let input: Box<dyn Read> =
        if file == "-" { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(file)?) };
    let mut bytes = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(ListError::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| ListError::NotUtf8)
}
