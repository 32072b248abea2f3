//! The end: nothing new is accepted, what is in flight is finished, idle connections are closed at once.

use std::time::{Duration, Instant};

use crate::listener::Connections;

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    All,
    /// The number of connections that were still busy at the deadline.
    Left(i64),
}

/// Waits until no connection is open, at most `deadline`.
pub async fn drain(connections: &Connections, deadline: Duration) -> Drained {
    const LOOK: Duration = Duration::from_millis(10);
    let end = Instant::now() + deadline;
    loop {
        let open = connections.open();
        if open <= 0 {
            return Drained::All;
        }
        if Instant::now() >= end {
            return Drained::Left(open);
        }
        tokio::time::sleep(LOOK).await;
    }
}
