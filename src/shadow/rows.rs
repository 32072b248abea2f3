//! The evidence as rows of the store.

use std::path::PathBuf;
use std::sync::Arc;

use super::failures::Failures;
use super::folder;
use crate::compare::{Evidence, Rules};
use crate::store::{EvidenceRow, Store, StoreError};

/// The store's row of a route.
pub(super) enum Kept {
    Nothing,
    /// About something else, or nothing that can be read: why the evidence begins anew.
    Other(&'static str),
    /// It, and how long its text is.
    Same(Box<Evidence>, usize),
}

/// The rows of all routes.
pub(super) struct Rows {
    store: Arc<Store>,
    state_dir: PathBuf,
    unwritten: Failures,
}

impl Rows {
    pub(super) fn new(store: Arc<Store>, state_dir: PathBuf) -> Self {
        let rows = Self { store, state_dir, unwritten: Failures::default() };
        rows.import();
        rows
    }

    /// Takes over the files of an older program, if that was not done yet.
    pub(super) fn import(&self) {
        if !matches!(self.store.wants_evidence_files(), Ok(true)) {
            return;
        }
        let found = folder::read_all(&self.state_dir);
        let routes = found.len();
        match self.store.import_evidence(found) {
            Ok(()) if routes > 0 => tracing::info!(routes, "the evidence files of an older program were taken over"),
            Ok(()) | Err(StoreError::InUse) => {}
            Err(error) => tracing::warn!(%error, "the evidence files of an older program were not taken over"),
        }
    }

    /// The known evidence of a route about this subject.
    pub(super) fn read(&self, route: &str, subject: u64, rules: &Rules) -> Kept {
        // A store that cannot be read has said so in the log.
        let Some(row) = self.store.evidence(route).ok().flatten() else { return Kept::Nothing };
        if *row.subject != *written(subject) {
            tracing::info!(route, "what is compared has changed: the evidence begins anew");
            return Kept::Other("what is compared, or who answers, has changed");
        }
        match Evidence::from_json(&row.text, rules) {
            Ok(evidence) => Kept::Same(Box::new(evidence), row.text.len()),
            Err(error) => {
                tracing::warn!(route, %error, "the evidence is of a form that is not known: it begins anew");
                Kept::Other("what was kept has a form that is not known")
            }
        }
    }

    /// False: it could not be written, which is said at the 1st, 2nd, 4th, 8th … time.
    pub(super) fn write(&self, route: &str, subject: u64, evidence: String) -> bool {
        let row = EvidenceRow { route: route.into(), subject: written(subject).into(), text: evidence.into() };
        match self.store.keep_evidence(row) {
            Ok(()) => return true,
            // Another process keeps its own.
            Err(StoreError::InUse | StoreError::Closed) => {}
            Err(error) => {
                if let Some(failures) = self.unwritten.count() {
                    tracing::warn!(failures, %error, "evidence cannot be written; it is kept in memory");
                }
            }
        }
        false
    }
}

fn written(subject: u64) -> String {
    format!("{subject:016x}")
}
