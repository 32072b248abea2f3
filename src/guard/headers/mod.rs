//! What headers may cross the edge, and what the edge says of the client in them.
//!
//! Pingora's own policy removes hop-by-hop headers and those that `Connection` names from what it sends to an upstream; it is not
//! repeated here, except in [`without_hop_by_hop`] for requests that are sent past it.

mod client;
mod introduction;
mod request;
mod response;

pub use client::{address as client_address, is_trusted};
pub use introduction::{ClientSubject, Introduction};
pub use request::{Arrival, Received, clean, receive, without_hop_by_hop};
pub use response::{Asked, answer, interim};

use bytes::{BufMut as _, BytesMut};

/// One field as a line of a head.
pub fn put_line(head: &mut BytesMut, name: &[u8], value: &[u8]) {
    head.put_slice(name);
    head.put_slice(b": ");
    head.put_slice(value);
    head.put_slice(b"\r\n");
}
