//! Counts what passes over a connection of HTTP/2, and tells the loop of the connection what it has to know of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use crate::guard::http2::{Budget, Frame, FrameKind, Frames};
use crate::telemetry::Meters;

/// Reasons of RFC 9113, section 7: all is well; a stream is one too many; the client asks for too much.
const NO_ERROR: u32 = 0;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Both directions of one connection, frame by frame.
#[derive(Debug)]
pub struct FrameMeter {
    sent: Frames,
    budget: Budget,
    shared: Arc<Shared>,
    metrics: Arc<Meters>,
}

/// The state that the loop of the connection reads. Times are milliseconds after the epoch; 0: none.
#[derive(Debug)]
pub struct Traffic {
    epoch: Instant,
    flooded: AtomicBool,
    /// The end of the connection is counted already.
    counted: AtomicBool,
    /// Since when the client's own close is waited for.
    closing_since: AtomicU64,
    /// When the header block began that is not complete.
    block_since: AtomicU64,
    /// Bytes of responses, without the heads of their frames.
    data_sent: AtomicU64,
    /// Bytes that the socket took.
    written: AtomicU64,
    /// The socket takes nothing for now.
    blocked: AtomicBool,
}

impl FrameMeter {
    pub fn new(shared: Arc<Shared>, metrics: Arc<Meters>) -> Self {
        Self { sent: Frames::of_server(), budget: Budget::new(0), shared, metrics }
    }

    /// The client sent this frame. `false`: with it, it has asked for too much.
    pub fn received(&mut self, frame: Frame) -> bool {
        let affordable = Budget::is_free(frame) || self.budget.received(frame, self.shared.traffic.now());
        if !affordable {
            self.shared.traffic.flood();
        } else if frame.kind == FrameKind::Reset {
            self.shared.heads.lock().reset(frame.stream);
        }
        affordable
    }

    /// The client was sent this.
    pub fn sent(&mut self, bytes: &[u8]) {
        let Self { sent, budget, shared, metrics } = self;
        let traffic = &shared.traffic;
        sent.take(bytes, |frame| {
            budget.sent(frame);
            match frame.kind {
                FrameKind::Data => {
                    traffic.data_sent.fetch_add(u64::from(frame.length), Relaxed);
                }
                FrameKind::Reset => {
                    let mut heads = shared.heads.lock();
                    heads.reset(frame.stream);
                    if frame.reason == REFUSED_STREAM {
                        metrics.edge().refused("http2_streams");
                        heads.refused(frame.stream);
                    }
                }
                FrameKind::GoAway if frame.reason != NO_ERROR && !traffic.counted.load(Relaxed) => {
                    let flood = frame.reason == ENHANCE_YOUR_CALM;
                    metrics.edge().refused(if flood { "http2_flood" } else { "framing" });
                }
                _ => {}
            }
        });
    }
}

impl Traffic {
    pub fn new() -> Self {
        Self {
            epoch: Instant::now(),
            flooded: AtomicBool::new(false),
            counted: AtomicBool::new(false),
            closing_since: AtomicU64::new(0),
            block_since: AtomicU64::new(0),
            data_sent: AtomicU64::new(0),
            written: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
        }
    }

    /// The client has asked for too much: nothing more is read of it.
    pub fn flood(&self) {
        self.flooded.store(true, Relaxed);
    }

    pub fn is_flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }

    pub fn data_sent(&self) -> u64 {
        self.data_sent.load(Relaxed)
    }

    /// The loop ends the connection and has counted why.
    pub fn is_counted(&self) {
        self.counted.store(true, Relaxed);
    }

    /// A header block has begun, now or earlier.
    pub fn block_begins(&self) {
        if self.block_since.load(Relaxed) == 0 {
            self.block_since.store(self.now().max(1), Relaxed);
        }
    }

    pub fn block_ends(&self) {
        self.block_since.store(0, Relaxed);
    }

    /// Since when a header block is waited for.
    pub fn block_since(&self) -> Option<Instant> {
        self.at(&self.block_since)
    }

    /// Our side is closed.
    pub fn closing(&self) {
        if self.closing_since.load(Relaxed) == 0 {
            self.closing_since.store(self.now().max(1), Relaxed);
        }
    }

    /// Since when the client's own close is waited for.
    pub fn closing_since(&self) -> Option<Instant> {
        self.at(&self.closing_since)
    }

    /// The socket took this number of bytes.
    pub fn took(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
        self.blocked.store(false, Relaxed);
    }

    /// The socket takes nothing for now.
    pub fn blocks(&self) {
        self.blocked.store(true, Relaxed);
    }

    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Milliseconds after the epoch.
    pub fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(&self, moment: &AtomicU64) -> Option<Instant> {
        let moment = Some(moment.load(Relaxed)).filter(|moment| *moment > 0)?;
        Some(self.epoch + Duration::from_millis(moment))
    }
}
