//! `multilith check [FILE…]`: every mistake and warning of the files.

use super::{CheckArgs, Exit, certificates, term};
use crate::compile::{Compiled, compile};
use crate::diagnostic::{Diagnostics, render, report};
use crate::reload::{ReadError, Source, environment};

pub fn check(args: &CheckArgs) -> Exit {
    let mut reports = Vec::new();
    let (mut errors, mut warnings) = (0, 0);
    let mut all_read = true;
    for path in &args.files {
        let source = Source::File(path.clone());
        let (text, diagnostics) = match source.read() {
            Ok(text) => {
                let Compiled { snapshot, mut diagnostics } = compile(&text, &source.name(), &environment);
                if let Some(snapshot) = snapshot {
                    certificates::check(&snapshot, &mut diagnostics);
                }
                (text, diagnostics)
            }
            Err(error) => {
                all_read = false;
                (String::new(), unreadable(&error))
            }
        };
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
    if !all_read {
        return Exit::Failed;
    }
    if errors > 0 || (args.strict && warnings > 0) { Exit::Findings } else { Exit::Fine }
}

/// The remedies of `run` name options that `check` does not have.
fn unreadable(error: &ReadError) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    let diagnostic = error.diagnostic();
    diagnostics.push(if error.is_missing() {
        diagnostic.help("name the file: `multilith check FILE`")
    } else {
        diagnostic
    });
    diagnostics
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
