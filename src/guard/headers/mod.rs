//! The fields that may cross the edge, and the fields in which the edge describes the client.

mod client;
mod continued;
mod elements;
mod forwarded;
mod hop_by_hop;
mod peer_facts;
mod request;
mod response;

pub use client::{address as client_address, is_trusted};
pub use forwarded::ForwardedHeaders;
pub use hop_by_hop::without_hop_by_hop;
pub use peer_facts::{ClientSubject, PeerFacts};
pub use request::{Received, clean, receive};
pub use response::{ResponseContext, clean_response, interim};
