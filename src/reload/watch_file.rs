//! Looks at the files of the configuration again and again, and at the folders in which others may appear.
//!
//! Looking is enough, and works where notifications do not: symlinks that a Kubernetes volume swaps, files mounted one
//! by one into a container, network drives, editors that rename. One `stat` four times a second costs nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Read, ReadError, Reloader};

const LOOK: Duration = Duration::from_millis(250);
/// A write within the clock tick of the last look would not show in the file's times.
const READ_ANYWAY: u32 = 12;

/// The metadata that change when a file is written, replaced or swapped behind a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    device: u64,
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

pub(super) fn mark(path: &Path) -> Option<Mark> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path).ok()?;
    Some(Mark { device: meta.dev(), inode: meta.ino(), length: meta.len(), modified: meta.modified().ok() })
}

fn marks(paths: &[PathBuf]) -> Vec<Option<Mark>> {
    paths.iter().map(|path| mark(path)).collect()
}

impl Reloader {
    /// Reloads whenever a file has another content, or one more file belongs to it, and all have stopped changing. Never returns.
    pub async fn watch_file(self: Arc<Self>) {
        if self.source.paths().is_empty() {
            return;
        }
        let mut watched = self.source.read().map_or_else(|_| self.source.paths().to_vec(), |read| read.watched);
        let mut seen = marks(&watched);
        let mut gone = false;
        let mut looks = 0_u32;
        loop {
            tokio::time::sleep(LOOK).await;
            looks = looks.wrapping_add(1);
            let now = marks(&watched);
            // Without a file that the command line names there is no configuration.
            if let Some(path) = self.source.paths().iter().find(|path| mark(path).is_none()) {
                if !gone {
                    gone = true;
                    tracing::warn!(file = %path.display(), "routes.toml is gone: the last good one stays in force");
                }
                continue;
            }
            if now == seen && !gone && !looks.is_multiple_of(READ_ANYWAY) {
                continue;
            }
            gone = false;
            let reloader = Arc::clone(&self);
            let read = move || match reloader.source.read() {
                Ok(read) => Some(reloader.reload_settled(read)),
                Err(error) => {
                    reloader.unreadable(&error);
                    None
                }
            };
            match tokio::task::spawn_blocking(read).await {
                Ok(Some(now_watched)) if now_watched != watched => {
                    watched = now_watched;
                    seen = marks(&watched);
                }
                Ok(_) => seen = now,
                Err(_) => tracing::error!("a reload ended in a panic; the last good file stays in force"),
            }
        }
    }

    /// A file that is being written in place may be read half: an empty or broken text is looked at twice. Returns what is to be
    /// watched.
    fn reload_settled(&self, mut read: Read) -> Vec<PathBuf> {
        const SETTLE: Duration = Duration::from_millis(50);
        if self.is_known(&read.sources) {
            return read.watched;
        }
        for _ in 0..20 {
            std::thread::sleep(SETTLE);
            match self.source.read() {
                Ok(again) if again.sources == read.sources => break,
                Ok(again) => read = again,
                Err(_) => return read.watched,
            }
        }
        self.reload_if_new(&read.sources);
        read.watched
    }

    fn unreadable(&self, error: &ReadError) {
        let mut state = self.state.lock();
        let already = self.last_error.lock().as_ref().is_some_and(|last| {
            last.diagnostics.first().is_some_and(|entry| entry.message == error.diagnostic().message)
        });
        if !already {
            let outcome = self.refuse(&mut state, &error.diagnostic());
            self.report(&outcome);
        }
    }
}
