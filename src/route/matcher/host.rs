//! The host: any, one, or all below one.

use std::fmt;

/// The longest host name there is (RFC 1035, 2.3.4); a longer one matches no route.
pub(in crate::route) const HOST_BYTES: usize = 255;

/// Which hosts a route takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Any,
    /// Lower case, without a port.
    Exact(Box<str>),
    /// `*.example.com`, kept as `.example.com`, lower case: any depth, not the apex.
    Wildcard(Box<str>),
}

/// The longest suffix wins among wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRank {
    Any,
    Wildcard(usize),
    Exact,
}

impl HostPattern {
    /// Takes the host as the client wrote it.
    #[must_use]
    pub fn takes(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
        match self {
            Self::Any => true,
            _ if host.len() > HOST_BYTES => false,
            Self::Exact(own) => host.eq_ignore_ascii_case(own.as_bytes()),
            Self::Wildcard(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|start| start > 0 && host[start..].eq_ignore_ascii_case(suffix.as_bytes())),
        }
    }

    pub(in crate::route) fn rank(&self) -> HostRank {
        match self {
            Self::Any => HostRank::Any,
            Self::Wildcard(suffix) => HostRank::Wildcard(suffix.len()),
            Self::Exact(_) => HostRank::Exact,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}
