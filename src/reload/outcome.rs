//! The outcome of a reload, and why the newest text is not in force.

use std::sync::Arc;

use serde::Serialize;

use crate::compile::Changes;
use crate::diagnostic::{Code, Diagnostic, Entry, Sources};

/// Why the newest text is not in force.
#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    pub at: String,
    pub diagnostics: Vec<Entry>,
    /// The files that were read; empty where they could not be.
    #[serde(skip)]
    pub sources: Arc<Sources>,
}

/// The outcome of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReloadResult {
    Applied,
    Unchanged,
    Refused,
}

impl ReloadResult {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// The answer to a reload.
#[derive(Debug, Clone, Serialize)]
pub struct ReloadOutcome {
    pub result: ReloadResult,
    pub generation: u64,
    pub changes: Changes,
    pub diagnostics: Vec<Entry>,
}

pub fn restart_warning(key: &str) -> Diagnostic {
    Diagnostic::new(Code::NeedsRestart, format!("`{key}` changed, but is read only when multilith starts"))
        .help("everything else of this file is in force; restart multilith for this key")
}
