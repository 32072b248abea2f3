//! Follows the frames of an HTTP/2 connection: reads header blocks, says what is wrong with a head, and when a client asks for
//! more work than it takes part in.
//!
//! The library bounds what a client can make it remember: streams, resets that were not looked at, header lists, fragments of
//! them, empty data. It does not bound how often it can be asked to do something small. So each frame that carries no request
//! and no data costs something here, and what is sent to the client pays for it: a client that reads its responses may say so
//! as often as any honest client does, and a client that only makes noise is soon out of credit.

mod budget;
mod frames;
mod head;
pub mod hpack;

pub use budget::Budget;
pub use frames::{Frame, FrameKind, Frames};
pub use head::{Bounds, HeadReader, TrailerReader};
