//! Asks other servers to identify a client, before a service is asked: `auth.forward`, `auth.exchange` and `shadow.credentials`.
//!
//! Their answers are kept in memory alone, under a keyed hash of what the client has shown, never the credentials themselves.

mod answers;
mod forward;
mod identification;
mod servers;
mod token_exchange;

pub use forward::{AuthServer, Denial};
pub use identification::{ClientIdentity, Identification, Inquiry, Unidentified};
pub use servers::AuthServers;
pub use token_exchange::TokenServer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::FetchError;

/// The longest that one of these servers may take for its whole answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why one of these servers has no answer of use.
#[derive(Debug, thiserror::Error)]
enum AuthServerFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("its answer has more than {0} bytes")]
    TooLarge(usize),
    #[error("its answer lacks what `set` takes from it")]
    Lacking,
    #[error("status {0}")]
    Status(u16),
}

/// Says once that a server does not answer, and once that it answers again.
#[derive(Debug, Default)]
struct Outage(AtomicBool);

impl Outage {
    fn began(&self, what: &str, url: &str, why: &AuthServerFault) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(what, url, %why, "the server that says who clients are does not answer: no service is asked without it");
        }
    }

    fn ended(&self, what: &str, url: &str) {
        if self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed) {
            tracing::info!(what, url, "the server that says who clients are answers again");
        }
    }
}
