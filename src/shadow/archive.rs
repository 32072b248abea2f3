//! The evidence of all routes, and its files: one for each route, replaced by renaming, so that none is ever half written.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::evidence::RouteEvidence;
use super::failures::Failures;
use crate::compare::{Evidence, Rules};

/// A file larger than any evidence can become is not one of ours.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

pub(super) struct Archive {
    folder: PathBuf,
    routes: Mutex<HashMap<Arc<str>, Arc<RouteEvidence>>>,
    unwritten: Failures,
}

/// One file. The subject is a text because numbers of 64 bits do not survive every reader of JSON.
#[derive(Serialize, Deserialize)]
struct Kept {
    route: String,
    subject: String,
    evidence: Box<RawValue>,
}

impl Archive {
    pub(super) fn open(state_dir: &Path) -> Arc<Self> {
        Arc::new(Self { folder: state_dir.join("evidence"), routes: Mutex::default(), unwritten: Failures::default() })
    }

    /// The evidence of a route about this subject: in memory, or on disk, or new.
    pub(super) fn evidence(&self, route: &Arc<str>, rules: Rules, subject: u64) -> Arc<RouteEvidence> {
        let mut routes = self.routes.lock();
        if let Some(known) = routes.get(route).filter(|known| known.subject() == subject) {
            return Arc::clone(known);
        }
        let kept = self.read(route, &rules, subject);
        let evidence = RouteEvidence::new(route, rules, subject, kept);
        routes.insert(Arc::clone(route), Arc::clone(&evidence));
        evidence
    }

    pub(super) fn find(&self, route: &str) -> Option<Arc<RouteEvidence>> {
        self.routes.lock().get(route).cloned()
    }

    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        let gone: Vec<_> = {
            let mut routes = self.routes.lock();
            let names: Vec<_> = routes.keys().filter(|name| !keep(name)).cloned().collect();
            names.iter().filter_map(|name| routes.remove(name)).collect()
        };
        // A route that comes back goes on where it was.
        for evidence in gone {
            self.write(&evidence);
        }
    }

    /// Writes what has changed.
    pub(super) fn save(&self) {
        let all: Vec<_> = self.routes.lock().values().cloned().collect();
        for evidence in all {
            self.write(&evidence);
        }
    }

    fn read(&self, route: &str, rules: &Rules, subject: u64) -> Option<Evidence> {
        let path = self.path(route);
        let text = match read_bounded(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(route, %error, "the evidence cannot be read and begins anew");
                return None;
            }
        };
        let kept: Kept = match serde_json::from_str(&text) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(route, %error, "the evidence cannot be read and begins anew");
                return None;
            }
        };
        if kept.route != route || kept.subject != written(subject) {
            tracing::info!(route, "what is compared has changed: the evidence begins anew");
            return None;
        }
        match Evidence::from_json(kept.evidence.get(), rules) {
            Ok(evidence) => Some(evidence),
            Err(error) => {
                tracing::warn!(route, "{error}; it begins anew");
                None
            }
        }
    }

    fn write(&self, evidence: &RouteEvidence) {
        let Some(text) = evidence.take_changed() else { return };
        let Err(error) = self.replace(evidence, text) else { return };
        evidence.still_changed();
        if let Some(failures) = self.unwritten.count() {
            let folder = self.folder.display();
            tracing::warn!(failures, %error, "evidence cannot be written to `{folder}`; it is kept in memory");
        }
    }

    fn replace(&self, evidence: &RouteEvidence, text: String) -> io::Result<()> {
        let kept = Kept {
            route: evidence.route().to_owned(),
            subject: written(evidence.subject()),
            evidence: RawValue::from_string(text)?,
        };
        fs::create_dir_all(&self.folder)?;
        let path = self.path(evidence.route());
        let beside = path.with_extension("json.new");
        let result = write_private(&beside, &serde_json::to_vec(&kept)?).and_then(|()| fs::rename(&beside, &path));
        if result.is_err() {
            // A half of it on a full disk helps nobody.
            drop(fs::remove_file(&beside));
        }
        result
    }

    fn path(&self, route: &str) -> PathBuf {
        self.folder.join(format!("{route}.json"))
    }
}

/// Examples may hold what clients asked: nobody else's to read.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}

fn written(subject: u64) -> String {
    format!("{subject:016x}")
}

fn read_bounded(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any evidence"));
    }
    fs::read_to_string(path)
}
