//! Decides whether a request may enter at all, and cleans what crosses the edge in either direction.
//!
//! Everything here is a plain function on a head or on bytes; the steps of `proxy` call them in this order: [`framing::check`],
//! [`headers::clean`], (route), [`rate`], [`jwt`], (side), [`identity`], [`headers::without_hop_by_hop`]; on the way back
//! [`headers::clean_response`].

pub mod authority;
pub mod forged;
pub mod framing;
pub mod headers;
pub mod http2;
pub mod identity;
pub mod jwt;
pub mod rate;
pub mod websocket_frames;

/// A request that is turned away before any upstream hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The `reason` label of `refused_total`.
    pub reason: &'static str,
    /// Where one message ends and the next begins is in doubt, so nothing more may be read from this connection.
    pub close: bool,
}

impl Refusal {
    /// A malformed message: 400, and the connection ends.
    pub(crate) const fn malformed(reason: &'static str) -> Self {
        Self { status: 400, reason, close: true }
    }

    pub(crate) const fn closing(status: u16, reason: &'static str) -> Self {
        Self { status, reason, close: true }
    }
}
