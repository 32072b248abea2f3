//! What passes over a connection of HTTP/2, followed frame by frame, and what the connection's loop is told of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::guard::http2::{Budget, Frames, Kind};
use crate::telemetry::Metrics;

/// Reasons of RFC 9113, section 7: all is well; a stream is one too many; the client asks for too much.
const NO_ERROR: u32 = 0;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

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
    /// The end of the connection is counted already.
    counted: AtomicBool,
    /// Since when the client is waited for to close, too, in milliseconds after the epoch; 0: it is not.
    closing_since: AtomicU64,
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
            counted: AtomicBool::new(false),
            closing_since: AtomicU64::new(0),
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

    /// Our side is closed.
    pub fn closing(&self) {
        if self.traffic.closing_since.load(Relaxed) == 0 {
            self.traffic.closing_since.store(self.traffic.now().max(1), Relaxed);
        }
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
                Kind::GoAway if frame.reason != NO_ERROR && !traffic.counted.load(Relaxed) => {
                    let flood = frame.reason == ENHANCE_YOUR_CALM;
                    metrics.edge().refused(if flood { "http2_flood" } else { "framing" });
                }
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

    /// Whoever ends the connection has counted why.
    pub fn is_counted(&self) {
        self.counted.store(true, Relaxed);
    }

    /// Since when a header block is waited for.
    pub fn block_since(&self) -> Option<Instant> {
        self.at(&self.block_since)
    }

    /// Since when the client is waited for to close, too.
    pub fn closing_since(&self) -> Option<Instant> {
        self.at(&self.closing_since)
    }

    fn at(&self, moment: &AtomicU64) -> Option<Instant> {
        let moment = Some(moment.load(Relaxed)).filter(|moment| *moment > 0)?;
        Some(self.epoch + Duration::from_millis(moment))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
