//! The files in force, as the admin API shows them.

use std::sync::Arc;

use serde::Serialize;

use super::{LastError, Reloader};

/// The file in force, as `GET /api/v1/config` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct InForceFile {
    pub generation: u64,
    /// Of the first file.
    pub text: String,
    /// All files of the configuration, the first among them.
    pub files: Vec<FileText>,
    pub loaded_at: String,
    pub last_error: Option<LastError>,
}

/// One file of the configuration in force.
#[derive(Debug, Clone, Serialize)]
pub struct FileText {
    pub path: Arc<str>,
    pub text: String,
}

impl Reloader {
    /// When the text in force was loaded.
    pub fn loaded_at(&self) -> String {
        self.state.lock().loaded_at.to_string()
    }

    /// The file in force, and why a newer one is not.
    pub fn in_force(&self) -> InForceFile {
        let state = self.state.lock();
        let sources = Arc::clone(&self.app.in_force.load().snapshot.sources);
        let text = |file| sources.text_of(file).into();
        InForceFile {
            generation: state.generation,
            text: sources.files().first().map(text).unwrap_or_default(),
            files: sources
                .files()
                .iter()
                .map(|file| FileText { path: Arc::clone(&file.name), text: text(file) })
                .collect(),
            loaded_at: state.loaded_at.to_string(),
            last_error: self.last_error(),
        }
    }
}
