//! Keeps why a file was refused: for the status, and once in the journal.

use std::sync::Arc;

use jiff::Timestamp;

use super::{LastError, Reloader};
use crate::diagnostic::{Entry, Sources};

impl Reloader {
    /// Keeps why the newest text is not in force, and writes it into the journal unless the journal has it already.
    pub(super) fn keep_refusal(&self, generation: u64, report: &[Entry], sources: &Sources) {
        let new = LastError {
            at: Timestamp::now().to_string(),
            diagnostics: report.to_vec(),
            sources: Arc::new(sources.clone()),
        };
        let old = self.last_error.lock().replace(new);
        if old.is_some_and(|old| old.diagnostics == report) {
            return;
        }
        let errors = report.iter().filter(|entry| entry.severity == "error");
        let reason = match (errors.clone().next(), errors.count()) {
            (None, _) => "refused".to_owned(),
            (Some(first), 1) => first.at_its_place(),
            (Some(first), all) => format!("{} (the first of {all})", first.at_its_place()),
        };
        if let Err(error) = self.journal.append_refusal(&self.source.name(), generation, &reason) {
            self.app.telemetry.metrics.edge().journal_error();
            tracing::error!(%error, "the journal does not have the refused file");
        }
    }
}
