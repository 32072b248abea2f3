//! The evidence files of an older program, one for each route. They are read once and left as they are, so that the
//! version before can be started again.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::store::EvidenceRow;

/// A file larger than any evidence can become is not one of ours.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// One file. The subject is a text because numbers of 64 bits do not survive every reader of JSON.
#[derive(Deserialize)]
struct Kept {
    route: Box<str>,
    subject: Box<str>,
    evidence: Box<RawValue>,
}

/// All of them. A file that is not understood is said and passed over.
pub(super) fn read_all(state_dir: &Path) -> Vec<EvidenceRow> {
    let folder = state_dir.join("evidence");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "the evidence files of an older program cannot be read");
            return Vec::new();
        }
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let files = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    files
        .filter_map(|path| {
            let passed_over = |error: &dyn std::fmt::Display| {
                tracing::warn!(file = %path.display(), %error, "an evidence file is not understood; it was passed over");
            };
            let text = read_bounded(&path).inspect_err(|error| passed_over(error)).ok()?;
            let Kept { route, subject, evidence } =
                serde_json::from_str(&text).inspect_err(|error| passed_over(error)).ok()?;
            Some(EvidenceRow { route, subject, text: evidence.get().into() })
        })
        .collect()
}

fn read_bounded(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any evidence"));
    }
    fs::read_to_string(path)
}
