//! The credit of a client: new words cost credit, exchanges at known places earn it. A scanner runs out of it, and where it
//! is answered whatever it asks, sinks deeper with each path that it has not asked before.

use super::values::{finished, hash};

/// A prime, so that hashes spread; the table takes 16 KiB.
const BUCKETS: usize = 4_093;
const START: f32 = 20.0;
const EARNED: f32 = 0.25;
const MOST: f32 = 50.0;
/// No client sinks deeper.
const LEAST: f32 = -10.0;
/// Below this a client is no witness.
const SUNK: f32 = -5.0;
/// Refused paths that are remembered, so that a client that comes back to the same few pages pays once for each.
const REFUSED: usize = 4_096;

/// Credit by hash of the client's address; clients of one bucket share it.
#[derive(Debug, Clone)]
pub struct Credit {
    clients: Box<[f32]>,
    /// By hash of path and client.
    refused: Box<[u16]>,
}

impl Credit {
    #[must_use]
    pub fn new() -> Self {
        Self { clients: vec![START; BUCKETS].into(), refused: vec![0; REFUSED].into() }
    }

    /// The bucket of a client, which stands for it from here on.
    #[must_use]
    pub const fn bucket(client: u32) -> u16 {
        (client as usize % BUCKETS) as u16
    }

    #[must_use]
    pub fn allows(&self, bucket: u16) -> bool {
        self.clients[usize::from(bucket)] >= 1.0
    }

    pub fn spend(&mut self, bucket: u16, nodes: u16) {
        self.clients[usize::from(bucket)] -= f32::from(nodes);
    }

    pub fn earn(&mut self, bucket: u16) {
        let credit = &mut self.clients[usize::from(bucket)];
        *credit = (*credit + EARNED).min(MOST);
    }

    /// Whether the paths that this client alone asked for say nothing: it asked for too many that seemed to exist.
    #[must_use]
    pub fn is_sunk(&self, bucket: u16) -> bool {
        self.clients[usize::from(bucket)] < SUNK
    }

    /// The client has no credit for a path that seems to exist.
    pub fn refuse(&mut self, bucket: u16, path: &str) {
        let hash = finished(hash(path) ^ u64::from(bucket).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (place, mark) = (hash as usize % REFUSED, (hash >> 48) as u16 | 1);
        if std::mem::replace(&mut self.refused[place], mark) != mark {
            let credit = &mut self.clients[usize::from(bucket)];
            *credit = (*credit - 0.7).max(LEAST);
        }
    }
}

impl Default for Credit {
    fn default() -> Self {
        Self::new()
    }
}
