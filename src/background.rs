//! The rooms of multilith that no request waits for: from the file to a snapshot, from there to the configuration of another proxy,
//! endpoints learned from traffic (pure all three), and the embedded database.
//!
//! A crate of its own, as `src/routes_file.rs` is: its code is generated for a short build, not for speed.

pub mod compile;
pub mod export;
pub mod inventory;
pub mod store;

pub use multilith_core::{compare, endpoint, message, migration, route};
pub use multilith_routes_file::{config, diagnostic};
