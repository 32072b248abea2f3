//! What headers may cross the edge, and what the edge says of the client in them.
//!
//! Pingora's own policy removes hop-by-hop headers and those that `Connection` names from what it sends to an upstream; it is not
//! repeated here, except in [`without_hop_by_hop`] for requests that are sent past it.

mod client;
mod request;
mod response;

pub use client::{address as client_address, is_trusted};
pub use request::{Arrival, ClientSubject, Introduction, Received, clean, receive, without_hop_by_hop};
pub use response::{Asked, answer, interim};
