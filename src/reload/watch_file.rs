//! Looks at the file again and again.
//!
//! Looking is enough, and works where notifications do not: symlinks that a Kubernetes volume swaps, files mounted one
//! by one into a container, network drives, editors that rename. One `stat` four times a second costs nothing.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{ReadError, Reloader};

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

impl Reloader {
    /// Reloads whenever the file has another content and has stopped changing. Never returns.
    pub async fn watch_file(self: Arc<Self>) {
        let Some(path) = self.source.path().map(Path::to_owned) else { return };
        let mut seen = mark(&path);
        let mut gone = false;
        let mut looks = 0_u32;
        loop {
            tokio::time::sleep(LOOK).await;
            looks = looks.wrapping_add(1);
            let now = mark(&path);
            if now.is_none() {
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
            seen = now;
            let reloader = Arc::clone(&self);
            let read = move || match reloader.source.read() {
                Ok(text) => reloader.reload_settled(&text),
                Err(error) => reloader.unreadable(&error),
            };
            if tokio::task::spawn_blocking(read).await.is_err() {
                tracing::error!("a reload ended in a panic; the last good file stays in force");
            }
        }
    }

    /// A file that is being written in place may be read half: an empty or broken text is looked at twice.
    fn reload_settled(&self, text: &str) {
        const SETTLE: Duration = Duration::from_millis(50);
        let mut text = text.to_owned();
        for _ in 0..20 {
            std::thread::sleep(SETTLE);
            match self.source.read() {
                Ok(again) if again == text => break,
                Ok(again) => text = again,
                Err(_) => return,
            }
        }
        self.reload_if_new(text);
    }

    fn unreadable(&self, error: &ReadError) {
        let mut state = self.state.lock();
        let already = self.last_error.lock().as_ref().is_some_and(|last| {
            last.diagnostics.first().is_some_and(|entry| entry.message == error.diagnostic().message)
        });
        if !already {
            let outcome = self.refuse(&mut state, &error.diagnostic(), "");
            self.report(&outcome);
        }
    }
}
