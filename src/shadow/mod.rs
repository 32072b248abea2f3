//! Shadow requests: copies whose responses no client receives, and their comparison with the client's response.
//!
//! A copy can never hurt the request it was made from: nothing here is awaited by the request's path. The path only keeps clones of the
//! chunks that pass ([`Tee`], [`Capture`]) within bounds, and hands over a [`CopyJob`]. Everything else has its own threads, which step
//! back behind those of requests: a runtime with its own connections that sends copies ([`ShadowTraffic`]), and one thread that compares
//! answers, keeps the evidence and writes it to disk.
//!
//! Bounds: copies in flight and bytes of a body for each route, bytes of all bodies held anywhere here ([`HELD_LIMIT`]),
//! comparisons that wait, time for the whole copy, and where the file says so a share of a processor. A copy or a comparison
//! that exceeds one is dropped and counted.

mod again;
mod archive;
mod ask;
mod batch_queue;
mod budget;
mod capture;
mod chunks;
mod clock;
mod comparer;
mod copies;
mod counts;
mod cpu_share;
mod deliver;
mod evidence;
mod failures;
mod folder;
mod follow;
mod gathered;
mod head;
mod hold_up;
mod known;
mod recent;
mod replays;
mod rows;
mod skipped;
mod tee;
mod threads;

use clock::now;

pub use again::Again;
pub use capture::Capture;
pub use copies::{Copies, Slot};
pub use deliver::{CopyJob, ShadowTraffic, Target};
pub use recent::{Ending, RecentCopy};
pub use skipped::Skipped;
pub use tee::Tee;
pub use threads::{lower_priority, runtime};

use crate::client::{Brief, UpstreamFault};
use crate::endpoint::UpstreamId;
use crate::message::{RequestHead, ResponseHead};

/// Bytes of bodies that are held at once for copies and comparisons, over all routes.
pub const HELD_LIMIT: usize = 64 * 1024 * 1024;

/// The proxy's changes to a head on its way to an upstream and back. Lies above this layer, so it is handed in.
pub trait Translate: Send + Sync {
    /// Writes what this upstream gets into a copy of the client's cleaned request.
    ///
    /// # Errors
    /// It cannot be written: the copy is not sent.
    fn request(&self, head: &mut RequestHead, to: UpstreamId) -> Result<(), UpstreamFault>;

    /// Facts for a target that is not a server of HTTP, beside this head, which was written for it.
    fn brief(&self, head: &RequestHead) -> Brief;

    /// Changes what an endpoint of this upstream responded, as it would be for the client.
    ///
    /// # Errors
    /// It cannot be changed: the response is not compared.
    fn response(&self, head: &mut ResponseHead, from: UpstreamId, endpoint: &str) -> Result<(), UpstreamFault>;
}
