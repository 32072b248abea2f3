//! A file or folder of the command line, read and compiled.

use super::{Exit, term};
use crate::compile::{Compiled, Snapshot, compile_all};
use crate::diagnostic::render_all;
use crate::reload::{ConfigSource, environment};

/// Mistakes are said, and warnings where they are wanted.
pub fn compiled(source: &ConfigSource, warnings: bool) -> Result<Snapshot, Exit> {
    let read = source.read().map_err(|error| {
        let diagnostic = error.diagnostic();
        term::fail(&diagnostic.message, diagnostic.help.as_deref());
        Exit::Failed
    })?;
    let Compiled { snapshot, diagnostics, .. } = compile_all(&read.sources, &environment, &|_| None);
    if snapshot.is_none() || warnings && !diagnostics.is_empty() {
        term::say(&render_all(&diagnostics, &read.sources, term::colour_on_stderr()));
    }
    snapshot.ok_or(Exit::Findings)
}
