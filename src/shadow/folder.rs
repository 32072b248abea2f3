//! The files of the evidence: one for each route, replaced by renaming, so that none is ever half written.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::failures::Failures;
use crate::compare::{Evidence, Rules};
use crate::live::private_folder;

/// A file larger than any evidence can become is not one of ours.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// `evidence` in the state directory.
pub(super) struct Folder {
    path: PathBuf,
    unwritten: Failures,
}

/// One file. The subject is a text because numbers of 64 bits do not survive every reader of JSON.
#[derive(Serialize, Deserialize)]
struct Kept {
    route: String,
    subject: String,
    evidence: Box<RawValue>,
}

impl Folder {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join("evidence"), unwritten: Failures::default() }
    }

    /// What is known of a route about this subject, and how long its text is.
    pub(super) fn read(&self, route: &str, subject: u64, rules: &Rules) -> Option<(Evidence, usize)> {
        let text = match read_bounded(&self.file(route)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            text => text.map_err(|error| error.to_string()),
        };
        let kept = text.and_then(|text| serde_json::from_str::<Kept>(&text).map_err(|error| error.to_string()));
        let found = match kept {
            Ok(kept) if kept.route != route || kept.subject != written(subject) => {
                tracing::info!(route, "what is compared has changed: the evidence begins anew");
                return None;
            }
            Ok(kept) => {
                let text = kept.evidence.get();
                Evidence::from_json(text, rules).map(|evidence| (evidence, text.len())).map_err(|e| e.to_string())
            }
            Err(error) => Err(error),
        };
        found.inspect_err(|error| tracing::warn!(route, error, "the evidence is not used and begins anew")).ok()
    }

    /// False: it could not be written, which is said at the 1st, 2nd, 4th, 8th … time.
    pub(super) fn write(&self, route: &str, subject: u64, evidence: String) -> bool {
        let Err(error) = self.replace(route, subject, evidence) else { return true };
        if let Some(failures) = self.unwritten.count() {
            let folder = self.path.display();
            tracing::warn!(failures, %error, "evidence cannot be written to `{folder}`; it is kept in memory");
        }
        false
    }

    fn replace(&self, route: &str, subject: u64, evidence: String) -> io::Result<()> {
        let evidence = RawValue::from_string(evidence)?;
        let kept = Kept { route: route.to_owned(), subject: written(subject), evidence };
        if let Some(state_dir) = self.path.parent().filter(|_| !self.path.is_dir()) {
            private_folder(state_dir)?;
        }
        fs::create_dir_all(&self.path)?;
        let file = self.file(route);
        let beside = file.with_extension("json.new");
        let result = write_private(&beside, &serde_json::to_vec(&kept)?).and_then(|()| fs::rename(&beside, &file));
        if result.is_err() {
            // A half of it on a full disk helps nobody.
            drop(fs::remove_file(&beside));
        }
        result
    }

    fn file(&self, route: &str) -> PathBuf {
        self.path.join(format!("{route}.json"))
    }
}

/// Examples may hold what clients asked: nobody else's to read.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}

fn read_bounded(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any evidence"));
    }
    fs::read_to_string(path)
}

fn written(subject: u64) -> String {
    format!("{subject:016x}")
}
