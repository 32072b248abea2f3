//! From a snapshot to a running server: listeners, runtimes, background tasks and their order, the end.

mod connection;
mod drain;
mod listen;
mod observer;
mod run;
mod signals;
pub mod tls;
mod wire;

pub use listen::{Bound, ListenError};
pub use run::{Running, Start, StartError, start};
pub use signals::{Signal, Signals};
