//! What the decision promises: who is on which side, and what moves a client.

mod assignment;
mod decisions;
mod dials;
mod world;
