//! `multilith check [FILE…]`: every mistake and warning of the files.

use super::{CheckArgs, Exit, term};
use crate::compile::{Compiled, compile};
use crate::diagnostic::{Diagnostics, render, report};
use crate::reload::{Source, environment};

pub fn check(args: &CheckArgs) -> Exit {
    let mut reports = Vec::new();
    let (mut errors, mut warnings) = (0, 0);
    for path in &args.files {
        let source = Source::File(path.clone());
        let (text, diagnostics) = diagnose(&source);
        let (file_errors, file_warnings) = diagnostics.counts();
        errors += file_errors;
        warnings += file_warnings;
        if args.json {
            reports.push(report(&diagnostics, &source.name(), &text));
        } else if diagnostics.is_empty() {
            term::out(&format!("{}: no mistakes\n", source.name()));
        } else {
            term::out(&render(&diagnostics, &source.name(), &text, term::colour_on_stdout()));
        }
    }
    if args.json {
        match &reports[..] {
            [one] => term::json(one),
            several => term::json(&several),
        }
    } else if errors + warnings > 0 {
        term::say(&format!("{} and {}", plural(errors, "error"), plural(warnings, "warning")));
    }
    if errors > 0 || (args.strict && warnings > 0) { Exit::Findings } else { Exit::Fine }
}

fn diagnose(source: &Source) -> (String, Diagnostics) {
    match source.read() {
        Ok(text) => {
            let Compiled { diagnostics, .. } = compile(&text, &source.name(), &environment);
            (text, diagnostics)
        }
        Err(error) => {
            let mut diagnostics = Diagnostics::default();
            diagnostics.push(error.diagnostic());
            (String::new(), diagnostics)
        }
    }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
