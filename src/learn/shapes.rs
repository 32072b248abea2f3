//! The recorded requests of a running proxy: taken in by the learner's thread, kept in the store, read by `plan`.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::Learner;
use super::recorded::{AskedNames, RECORDED_VERSION, Recorded, RecordedRequest, Reservoir};
use crate::compile::Snapshot;
use crate::inventory::Tree;
use crate::store::{Store, StoreError};

/// The row of the store.
const KEPT_AS: &str = "shapes";
/// Recorded requests that wait for the learner; more are dropped, which only makes the others stand for more.
const WAITING: usize = 4_096;
/// The largest recording there is, unpacked.
const LARGEST: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Shapes {
    asked: ArcSwap<AskedNames>,
    waiting: Mutex<Vec<RecordedRequest>>,
    reservoir: Mutex<Reservoir>,
}

/// A database without a recording that this program can read.
#[derive(Debug, thiserror::Error)]
pub enum UnusableRecording {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("nothing was recorded yet")]
    Nothing,
    #[error("the recording is damaged")]
    Damaged,
    #[error("the recording has version {found}, this program reads {RECORDED_VERSION}")]
    Version { found: u32 },
}

impl Shapes {
    /// Another file is in force. What was recorded under the old one stays: it may lack what the new one asks about.
    pub(super) fn ask(&self, snapshot: &Snapshot) {
        self.asked.store(Arc::new(AskedNames::of(snapshot)));
    }

    /// Takes in what waits, with values in paths replaced as the tree knows them.
    pub(super) fn take_in(&self, tree: &Tree) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let mut reservoir = self.reservoir.lock();
        for mut request in waiting {
            request.path = tree.masked(&request.path);
            reservoir.add(request, fastrand::u64(..));
        }
    }
}

impl Learner {
    /// What the file in force asks about.
    pub fn asked(&self) -> Arc<AskedNames> {
        self.shapes.asked.load_full()
    }

    /// Takes a recorded request; never waits.
    pub fn record(&self, request: RecordedRequest) {
        if let Some(mut waiting) = self.shapes.waiting.try_lock()
            && waiting.len() < WAITING
        {
            waiting.push(request);
        }
    }

    /// What was recorded so far.
    pub fn recorded(&self) -> Recorded {
        let asked = self.asked().names().map(|(on, name)| format!("{on}:{name}")).collect();
        Recorded { version: RECORDED_VERSION, asked, requests: self.shapes.reservoir.lock().all() }
    }

    pub(super) fn restore_shapes(&self) {
        match self.store.learned(KEPT_AS).map_err(UnusableRecording::from).and_then(|kept| unpacked(kept.as_deref())) {
            Ok(recorded) => self.shapes.reservoir.lock().take_back(recorded.requests),
            Err(UnusableRecording::Nothing) => {}
            Err(error) => tracing::warn!(%error, "the recorded requests begin anew"),
        }
    }

    pub(super) fn save_shapes(&self) {
        let recorded = self.recorded();
        if recorded.requests.is_empty() {
            return;
        }
        let text = serde_json::to_vec(&recorded).expect("a recording serialises");
        let kept = zstd::bulk::compress(&text, 3).map(|packed| self.store.keep_learned(KEPT_AS, packed));
        if !matches!(kept, Ok(Ok(()))) {
            tracing::debug!("the recorded requests were not kept");
        }
    }
}

/// Reads the recording in a state directory's database, or in a copy of it.
pub fn read_recorded(database: &Path) -> Result<Recorded, UnusableRecording> {
    unpacked(Store::learned_in(database, KEPT_AS)?.as_deref())
}

fn unpacked(packed: Option<&[u8]>) -> Result<Recorded, UnusableRecording> {
    #[derive(serde::Deserialize)]
    struct Head {
        version: u32,
    }
    let packed = packed.ok_or(UnusableRecording::Nothing)?;
    let text = zstd::bulk::decompress(packed, LARGEST).map_err(|_| UnusableRecording::Damaged)?;
    let head: Head = serde_json::from_slice(&text).map_err(|_| UnusableRecording::Damaged)?;
    if head.version != RECORDED_VERSION {
        return Err(UnusableRecording::Version { found: head.version });
    }
    serde_json::from_slice(&text).map_err(|_| UnusableRecording::Damaged)
}
