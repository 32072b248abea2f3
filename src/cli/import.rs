//! `multilith import FROM [FILE]`: a framework's list of routes becomes a routes file in which all is the monolith's.

use std::collections::BTreeMap;
use std::io::Read;

use super::{Exit, ImportArgs, term};
use crate::compile::{Compiled, compile};
use crate::inventory::{Imported, ImportedRoute, NotRead, import as read_list, routes_file};
use crate::reload::environment;
use crate::route::Template;

/// A list beyond this is none.
const LARGEST: u64 = 128 * 1024 * 1024;

pub fn import(args: &ImportArgs) -> Exit {
    let text = match read(&args.file) {
        Ok(text) => text,
        Err(message) => {
            term::fail(
                &format!("`{}` cannot be read: {message}", args.file),
                Some("name a file, or - for standard input"),
            );
            return Exit::Failed;
        }
    };
    let Imported { routes, skipped } = match read_list(args.from.into(), &text) {
        Ok(imported) => imported,
        Err(NotRead(message)) => {
            term::fail(&message, Some("`multilith import --help` says which output is read"));
            return Exit::Findings;
        }
    };
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut told = Vec::new();
    for skipped in skipped {
        told.push(format!("not imported: {}: {}", skipped.what, skipped.why));
        *reasons.entry(skipped.why.to_owned()).or_default() += 1;
    }
    let (good, bad): (Vec<ImportedRoute>, Vec<ImportedRoute>) =
        routes.into_iter().partition(|route| Template::parse(&route.path).is_ok());
    for route in bad {
        let why = Template::parse(&route.path).err().map_or_else(String::new, |error| error.to_string());
        told.push(format!("not imported: {}: {why}", route.path));
        *reasons.entry(why).or_default() += 1;
    }
    for line in &told {
        term::say(line);
    }
    let file = routes_file(&args.monolith, &good);
    let Compiled { diagnostics, .. } = compile(&file, "routes.toml", &environment);
    term::out(&file);
    let missed: usize = reasons.values().sum();
    let reasons: Vec<String> = reasons.iter().map(|(why, count)| format!("{count} {why}")).collect();
    let end = if missed == 0 { String::new() } else { format!(", {missed} not: {}", reasons.join(", ")) };
    term::say(&format!("{} imported{end}", good.len()));
    if diagnostics.counts().0 > 0 {
        term::say(&crate::diagnostic::render(&diagnostics, "routes.toml", &file, term::colour_on_stderr()));
        return Exit::Findings;
    }
    if good.is_empty() {
        term::fail("there is no route in the list", Some("`multilith import --help` says which output is read"));
        return Exit::Findings;
    }
    Exit::Fine
}

fn read(file: &str) -> Result<String, String> {
    let input: Box<dyn Read> = if file == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(|error| error.to_string())?)
    };
    let mut bytes = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err("it has more than 128 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}
