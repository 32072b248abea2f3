//! The rooms of multilith below the data plane that no request waits for: from the file to a snapshot, endpoints learned from traffic
//! (pure both), and the embedded database.
//!
//! A crate of its own, as `src/routes_file.rs` is: its code is generated for a short build, not for speed.

pub mod compile;
pub mod inventory;
pub mod store;

pub use multilith_core::{compare, endpoint, message, migration, route};
pub use multilith_routes_file::{config, diagnostic};
