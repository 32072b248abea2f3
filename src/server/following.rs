//! What passes over a connection of HTTP/2, followed frame by frame, and what the connection's loop is told of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::guard::http2::{Budget, Frames, Kind};
use crate::telemetry::Metrics;

/// Why a stream is refused that is one too many (RFC 9113, 7).
const REFUSED_STREAM: u32 = 7;

/// Both directions of one connection, as its wire sees them.
#[derive(Debug)]
pub struct Following {
    received: Frames,
    sent: Frames,
    budget: Budget,
    traffic: Arc<Traffic>,
    metrics: Arc<Metrics>,
}

/// What the loop asks.
#[derive(Debug)]
pub struct Traffic {
    epoch: Instant,
    flooded: AtomicBool,
    /// When the header block began that is not complete, in milliseconds after the epoch; 0: there is none.
    block_since: AtomicU64,
    /// Bytes of answers, with the heads of their frames.
    data_sent: AtomicU64,
}

impl Following {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let traffic = Traffic {
            epoch: Instant::now(),
            flooded: AtomicBool::new(false),
            block_since: AtomicU64::new(0),
            data_sent: AtomicU64::new(0),
        };
        Self {
            received: Frames::of_client(),
            sent: Frames::of_server(),
            budget: Budget::new(0),
            traffic: Arc::new(traffic),
            metrics,
        }
    }

    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// The client has asked for too much: nothing more is read of it.
    pub fn is_flooded(&self) -> bool {
        self.traffic.is_flooded()
    }

    /// The client sent this. `false`: with it, it has asked for too much.
    pub fn received(&mut self, bytes: &[u8]) -> bool {
        let Self { received, budget, traffic, .. } = self;
        let now = traffic.now();
        let mut affordable = true;
        received.take(bytes, |frame| affordable &= budget.received(frame, now));
        let since = if received.in_header_block() { now.max(1) } else { 0 };
        if since == 0 || traffic.block_since.load(Relaxed) == 0 {
            traffic.block_since.store(since, Relaxed);
        }
        if !affordable {
            traffic.flooded.store(true, Relaxed);
        }
        affordable
    }

    /// The client was sent this.
    pub fn sent(&mut self, bytes: &[u8]) {
        let Self { sent, budget, traffic, metrics, .. } = self;
        sent.take(bytes, |frame| {
            budget.sent(frame);
            match frame.kind {
                Kind::Data => {
                    traffic.data_sent.fetch_add(u64::from(frame.length), Relaxed);
                }
                Kind::Reset if frame.reason == REFUSED_STREAM => metrics.edge().refused("http2_streams"),
                _ => {}
            }
        });
    }
}

impl Traffic {
    pub fn is_flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }

    pub fn data_sent(&self) -> u64 {
        self.data_sent.load(Relaxed)
    }

    /// Since when a header block is waited for.
    pub fn block_since(&self) -> Option<Instant> {
        let since = Some(self.block_since.load(Relaxed)).filter(|since| *since > 0)?;
        Some(self.epoch + Duration::from_millis(since))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
