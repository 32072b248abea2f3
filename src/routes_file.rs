//! What is written in `routes.toml`, and what is said to a person about it: the lowest two rooms of multilith.
//!
//! A crate of its own, because no request's time depends on it and it is long to compile: its code is generated for a short build
//! while that of the crates above is checked.

pub mod config;
pub mod diagnostic;
