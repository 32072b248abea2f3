//! The promises of the decision: which client is on which side, and what moves a client.

mod assignment;
mod decisions;
mod dials;
mod world;
