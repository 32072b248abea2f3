//! The pure rooms of multilith that no request waits for: from the file to a snapshot, from there to
//! the configuration of another proxy, and endpoints learned from traffic.
//!
//! A crate of its own, as `src/routes_file.rs` is: its code is generated for a short build, not for speed.

pub mod compile;
pub mod export;
pub mod inventory;

pub use multilith_core::{compare, endpoint, message, migration, route};
pub use multilith_routes_file::{config, diagnostic};
