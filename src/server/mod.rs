//! From a snapshot to a running server: listeners, runtimes, background tasks and their order, the end.

mod acme;
mod descriptors;
mod drain;
mod hand_over;
mod listen;
mod observer;
mod replica;
mod running;
mod service_manager;
mod signals;
mod start;
mod start_error;

pub use hand_over::{Inheritance, Stays};
pub use listen::{Bound, ListenError};
pub use running::Running;
pub use service_manager::{NotifyState, notify, notify_reloading, watchdog};
pub use signals::{Signal, Signals};
pub use start::{Start, start};
pub use start_error::StartError;
