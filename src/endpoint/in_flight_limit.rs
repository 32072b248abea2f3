//! How many requests an upstream gets at once, and how many more may wait.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlightLimit {
    /// Requests at once, at least 1.
    pub most: u32,
    /// Requests that may wait beside them.
    pub length: u32,
    /// The longest wait.
    pub timeout: Duration,
}
