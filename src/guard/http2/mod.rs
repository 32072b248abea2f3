//! Follows the frames of an HTTP/2 connection, and says when a client asks for more work than it takes part in.
//!
//! The library bounds what a client can make it remember: streams, resets that were not looked at, header lists, fragments of
//! them, empty data. It does not bound how often it can be asked to do something small. So each frame that carries no request
//! and no data costs something here, and what is sent to the client pays for it: who reads answers may say so as often as
//! any honest client does, and who only makes noise is soon out of credit.

mod budget;
mod frames;

pub use budget::Budget;
pub use frames::{Frame, Frames, Kind};
