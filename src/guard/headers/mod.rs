//! The fields that may cross the edge, and the fields in which the edge describes the client.

mod arrival;
mod client;
mod continued;
mod elements;
mod forwarded;
mod hop_by_hop;
mod request;
mod response;

pub use arrival::{Arrival, ClientSubject};
pub use client::{address as client_address, is_trusted};
pub use forwarded::ForwardedHeaders;
pub use hop_by_hop::without_hop_by_hop;
pub use request::{Received, clean, receive};
pub use response::{Asked, answer, interim};
