<<<<<<< HEAD
//! From a snapshot to a running server: listeners, runtimes, background tasks and their order, the end.

mod connection;
mod drain;
mod listen;
mod run;
mod signals;

pub use listen::{Bound, ListenError};
pub use run::{Running, Start, StartError, start};
pub use signals::{Signal, Signals};
=======
//! Turns a snapshot into listeners and services.

pub mod tls;
>>>>>>> acb8edc (server: certificates by name, exchanged while connections go on)
