//! Looks at the certificates, keys, client authorities and admin tokens that the file names, and reloads when they have changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Reloader;
use super::watch_file::{Mark, mark};

/// Certificates are exchanged some times a year.
const LOOK: Duration = Duration::from_secs(1);

/// Files, and what they were.
pub(super) type Marks = Vec<(PathBuf, Option<Mark>)>;

pub(super) fn marks(paths: Vec<PathBuf>) -> Marks {
    paths.into_iter().map(|path| (mark(&path), path)).map(|(mark, path)| (path, mark)).collect()
}

impl Reloader {
    /// Reloads whenever one of these files has changed and all have stopped changing: a certificate and its key are two files, and
    /// between the two writes they do not fit. Never returns.
    pub async fn watch_certificates(self: Arc<Self>) {
        let mut before = Marks::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let read = self.read.lock().clone();
            let now = marks(read.iter().map(|(path, _)| path.clone()).collect());
            let is_settled = now == before;
            before.clone_from(&now);
            if now == read || !is_settled {
                continue;
            }
            tracing::info!("a certificate, a key, a client authority or an admin token has changed: read again");
            let reloader = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || reloader.reload()).await.is_err() {
                tracing::error!("a reload ended in a panic; the last good file stays in force");
            }
        }
    }
}
