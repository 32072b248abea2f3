//! HTTP/2 at the edge, spoken frame by frame: what a client may do, what it may not, and what an upstream sees of it.

mod abuse;
mod answers;
mod client;
mod downgrade;
mod limits;
mod sign_in;

use crate::harness::{Edge, eventually};

/// Reasons of RFC 9113, section 7.
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn counted(edge: &Edge, reason: &str, at_least: f64) {
    let refused = || edge.metric("multilith_refused_total", &[("reason", reason)]);
    eventually(&format!("{reason} counted"), || (refused() >= at_least).then_some(()));
}
