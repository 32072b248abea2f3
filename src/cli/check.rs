//! `multilith check [FILE…]`: every mistake and warning of the files.

use std::sync::Arc;

use super::{CheckArgs, Exit, certificates, term};
use crate::compile::{Compiled, compile_all};
use crate::diagnostic::{Diagnostics, Sources, plural, render_all, report_all};
use crate::reload::{ConfigSource, ReadError, environment, key_files};

pub fn check(args: &CheckArgs) -> Exit {
    let mut reports = Vec::new();
    let (mut errors, mut warnings) = (0, 0);
    let mut all_read = true;
    // The files of `-c` are one configuration, each other file is one by itself.
    let together = (!args.config.is_empty()).then(|| ConfigSource::Files(args.config.clone()));
    let alone = args.files.iter().map(ConfigSource::file);
    let default = (together.is_none() && args.files.is_empty()).then(|| ConfigSource::file("routes.toml"));
    for source in together.into_iter().chain(alone).chain(default) {
        let (sources, diagnostics) = match source.read() {
            Ok(read) => {
                let Compiled { snapshot, mut diagnostics } = compile_all(&read.sources, &environment, &|_| None);
                if let Some(snapshot) = snapshot {
                    certificates::check(&snapshot, &mut diagnostics);
                    for found in key_files(&snapshot) {
                        diagnostics.push(found);
                    }
                    diagnostics.sort();
                }
                (read.sources, diagnostics)
            }
            Err(error) => {
                all_read = false;
                (Arc::new(Sources::one(&source.name(), "")), unreadable(&error))
            }
        };
        let (file_errors, file_warnings) = diagnostics.counts();
        errors += file_errors;
        warnings += file_warnings;
        if args.json {
            reports.push(report_all(&diagnostics, &sources));
        } else if diagnostics.is_empty() {
            let names: Vec<_> = sources.files().iter().map(|file| &*file.name).collect();
            term::out(&format!("{}: no mistakes\n", names.join(", ")));
        } else {
            term::out(&render_all(&diagnostics, &sources, term::colour_on_stdout()));
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
