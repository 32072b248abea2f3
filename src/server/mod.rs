//! From a snapshot to a running server: listeners, runtimes, background tasks and their order, the end.

mod connection;
mod descriptors;
mod drain;
mod farewell;
mod following;
mod hand_over;
mod home;
mod http2;
mod listen;
mod observer;
mod run;
mod service_manager;
mod signals;
pub mod tls;
mod wire;

pub use hand_over::{Inheritance, Stays};
pub use listen::{Bound, ListenError};
pub use run::{Running, Start, StartError, start};
pub use service_manager::{monotonic_microseconds, notify, watchdog};
pub use signals::{Signal, Signals};
