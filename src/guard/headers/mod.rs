//! The fields that may cross the edge, and the fields in which the edge describes the client.

mod client;
mod forwarded;
mod hop_by_hop;
mod request;
mod response;

pub use client::{address as client_address, is_trusted};
pub use forwarded::{ClientSubject, ForwardedHeaders};
pub use hop_by_hop::without_hop_by_hop;
pub use request::{Arrival, Received, clean, receive};
pub use response::{Asked, answer, interim};

/// Appends one field as a line of a head.
pub fn put_line(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}
