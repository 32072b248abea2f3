//! The core of multilith: which route takes a request, which side answers, whether two answers are the same, which endpoint is asked; and
//! the heads and bodies that these look at. No room of it does input or output.
//!
//! A crate of its own, so that two cores build beside each other: its code is generated while the crates above are checked.

pub mod compare;
pub mod endpoint;
pub mod message;
pub mod migration;
pub mod route;

pub use multilith_routes_file::{config, diagnostic};
