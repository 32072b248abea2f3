//! The parts that a written configuration lacks, as a list.

use std::fmt;

use super::ExportTarget;

/// A part of the file that the written configuration lacks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotExported {
    /// The route's or the upstream's name; empty: the file as a whole.
    pub of: String,
    pub key: String,
    pub why: String,
}

impl fmt::Display for NotExported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.of.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{}: {}", self.of, self.key, self.why)
    }
}

/// The parts found so far.
pub(super) struct List {
    pub(super) found: Vec<NotExported>,
    pub(super) target: ExportTarget,
}

impl List {
    pub(super) fn say(&mut self, asked: bool, of: &str, key: &str, why: &str) {
        if asked {
            self.found.push(NotExported { of: of.to_owned(), key: key.to_owned(), why: why.to_owned() });
        }
    }

    pub(super) fn is(&self, targets: &[ExportTarget]) -> bool {
        targets.contains(&self.target)
    }
}
