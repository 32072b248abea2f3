//! The rule against golden values, its promises as properties, and whole roll-outs.

mod anew;
mod golden;
pub mod properties;
mod simulation;
