//! The data plane of multilith: what a request passes, and all that it needs. The rooms that operate it (the command line, the admin API,
//! the console, the gate's clock, the fleet, reloads) are the crate `multilith`, whose root has the map of all crates.
//!
//! Crates of their own, so that two cores build beside each other: the code of one is generated while the next is checked. Below this one
//! are `src/routes_file.rs`, `src/core.rs` and `src/background.rs`.

pub mod client;
pub mod downstream;
pub mod guard;
pub mod learn;
pub mod listener;
pub mod live;
pub mod proxy;
pub mod shadow;
pub mod telemetry;
pub mod upstream;

pub use multilith_background::{compile, inventory, store};
pub use multilith_core::{compare, endpoint, message, migration, route};
pub use multilith_routes_file::{config, diagnostic};
