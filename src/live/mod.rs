//! The moving state of the program: the generation in force, breakers, the big red button. All of it survives a reload.

mod admin_keys;
mod breaker;
mod button;
mod challenges;
mod gate_counters;
mod in_force;
mod route_state;
mod secret;
mod state_dir;

pub use admin_keys::{AdminKey, AdminKeys, BadToken};
pub use breaker::{Breakage, CircuitBreaker};
pub use button::{is_kept_pressed, keep_pressed};
pub use challenges::{Challenges, Expected};
pub use gate_counters::{GateCounters, PairSide, RequestOutcome};
pub use in_force::InForce;
pub use route_state::{Held, Live, RouteState};
pub use secret::{read_secret, read_secret_file};
pub use state_dir::private_folder;
