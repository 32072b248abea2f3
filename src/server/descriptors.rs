//! Divides the descriptors that the process may open, so that clients cannot take those that their own requests need.
//!
//! Without that, the last ones go to connections whose requests then find none for an upstream, and the upstream is blamed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections to the admin listener where there are descriptors enough: a hundred open consoles have a stream and a page each.
const MOST_ADMIN: u64 = 256;

/// How many descriptors each part of the program may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Connections of clients. Each may need a second descriptor, towards an upstream.
    pub clients: u64,
    /// Connections to upstreams that wait for the next request.
    pub idle: u64,
    /// Connections to the admin listener.
    pub admin: u64,
    /// Pipes through which long bodies pass, of two descriptors each.
    pub pipes: u64,
}

impl Shares {
    /// `limit` is what may be open, `open` what is before the first client comes, `idle` what is wanted at most.
    pub fn of(limit: u64, open: u64, idle: u64) -> Self {
        // Files, pipes, health checks, name servers and copies have as many as the admin listener.
        let admin = (limit / 8).clamp(8, MOST_ADMIN);
        let left = limit.saturating_sub(open).saturating_sub(2 * admin);
        let idle = idle.min(left / 4);
        Self { clients: ((left - idle) / 2).max(1), idle, admin, pipes: admin / 8 }
    }

    /// The limit that this number of clients needs.
    pub fn needed(clients: u64, open: u64, idle: u64) -> u64 {
        2 * clients + open + 2 * MOST_ADMIN + idle
    }
}

/// Raises what may be open as far as the system lets us; gives how far that is.
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let may_rise = limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok();
    // Without a number there is no limit.
    (if may_rise { raised } else { limit }).current.unwrap_or(u64::MAX)
}

/// How many are open; where the system does not say, as many as are after a usual start.
pub fn open_now() -> u64 {
    const USUAL: usize = 64;
    let open = std::fs::read_dir("/proc/self/fd").map_or(USUAL, Iterator::count);
    u64::try_from(open).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_out_is_never_more_than_there_is() {
        for limit in [64, 128, 256, 1024, 4096, 65_536, 1_048_576] {
            for open in [20, 40] {
                let Shares { clients, idle, admin, .. } = Shares::of(limit, open, 1024);
                assert!(clients > 1 && admin >= 8, "{limit}: {clients} {admin}");
                assert!(open + 2 * clients + idle + 2 * admin <= limit, "{limit}: {clients} {idle} {admin}");
            }
        }
        assert_eq!(Shares::of(16, 40, 1024).clients, 1);
    }

    #[test]
    fn the_limit_that_is_asked_for_is_enough() {
        for clients in [100, 10_000, 1_000_000] {
            let shares = Shares::of(Shares::needed(clients, 40, 1024), 40, 1024);
            assert!(shares.clients >= clients, "{shares:?}");
        }
    }
}
