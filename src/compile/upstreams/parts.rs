//! The keys that the monolith and a service have in common.

use crate::config::{self, Field, Item};
use crate::diagnostic::Span;

/// The keys that both tables have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'f> {
    pub(super) name: &'f str,
    pub(super) key: &'f Span,
    pub(super) url: &'f Field<String>,
    pub(super) endpoints: &'f Field<Vec<Item<String>>>,
    pub(super) discover: &'f Field<config::Discover>,
    pub(super) balance: &'f Field<config::Balance>,
    pub(super) health: &'f Field<config::Health>,
    pub(super) eject: &'f Field<config::Switch<config::Eject>>,
    pub(super) http: &'f Field<config::HttpVersion>,
    pub(super) host: &'f Field<String>,
    pub(super) tls: &'f Field<config::UpstreamTls>,
    pub(super) timeouts: &'f Field<config::Timeouts>,
    pub(super) max_in_flight: &'f Field<config::Limit<u32>>,
    pub(super) queue: &'f Field<config::Queue>,
    pub(super) proxy_protocol: &'f Field<u16>,
    pub(super) keepalive: &'f Field<config::KeepaliveTime>,
    pub(super) buffer: &'f Field<config::Buffer>,
}

macro_rules! parts {
    ($name:expr, $key:expr, $table:expr) => {
        Parts {
            name: $name,
            key: $key,
            url: &$table.url,
            endpoints: &$table.endpoints,
            discover: &$table.discover,
            balance: &$table.balance,
            health: &$table.health,
            eject: &$table.eject,
            http: &$table.http,
            host: &$table.host,
            tls: &$table.tls,
            timeouts: &$table.timeouts,
            max_in_flight: &$table.max_in_flight,
            queue: &$table.queue,
            proxy_protocol: &$table.proxy_protocol,
            keepalive: &$table.keepalive,
            buffer: &$table.buffer,
        }
    };
}

impl<'f> Parts<'f> {
    pub(super) const fn of_service(name: &'f str, key: &'f Span, table: &'f config::Service) -> Self {
        parts!(name, key, table)
    }

    pub(super) const fn of_monolith(key: &'f Span, table: &'f config::Monolith) -> Self {
        parts!("monolith", key, table)
    }

    pub(super) const fn has_no_source(&self) -> bool {
        self.url.is_absent() && self.endpoints.is_absent() && self.discover.is_absent()
    }
}
