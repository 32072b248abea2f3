//! The endpoints that a registry named last, kept in the store: a start while the registry is down serves with them.

use std::collections::HashMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::pool::{Entry, Pool};
use crate::endpoint::{Address, Listing, Look, Source, UpstreamSpec};
use crate::store::{KnownEndpoint, Store};

/// The rows of one upstream.
pub(super) struct KnownEndpoints {
    store: Arc<Store>,
    upstream: Arc<str>,
    /// Which registry, and where in it: the rows of another place mean nothing here.
    source: String,
}

impl KnownEndpoints {
    /// `None` for what needs no registry: a list in the file, and a file of endpoints.
    pub(super) fn of(store: Arc<Store>, spec: &UpstreamSpec) -> Option<Self> {
        if matches!(spec.source, Source::Fixed(_) | Source::File { .. }) {
            return None;
        }
        // Hashed, so that nothing secret in a URL is written.
        let source = format!("{:016x}", xxh3_64(format!("{:?}", spec.source).as_bytes()));
        Some(Self { store, upstream: Arc::clone(&spec.name), source })
    }

    /// Gives a new pool what was kept; `None` if that is nothing.
    pub(super) fn restore(&self, pool: &Pool) -> Option<Arc<[Entry]>> {
        let rows = self.store.endpoints(&self.upstream, &self.source).unwrap_or_default();
        let mut listings = Vec::new();
        let mut entries = Vec::new();
        for KnownEndpoint { key, address, weight, priority } in rows {
            match address.parse::<Address>() {
                Ok(address) => {
                    entries.push(Entry { address: address.clone(), weight, priority });
                    listings.push(Listing { key, address, weight });
                }
                Err(why) => {
                    let upstream = &*self.upstream;
                    tracing::warn!(upstream, key, %why, "an endpoint in the database is not understood; it was passed over");
                }
            }
        }
        if entries.is_empty() {
            return None;
        }
        tracing::info!(
            upstream = &*self.upstream,
            endpoints = entries.len(),
            "the endpoints known last are used until the source answers"
        );
        pool.begin_restored();
        pool.membership.lock().listed(listings, Look::Afresh);
        Some(entries.into())
    }

    /// Keeps what the pool knows now. Does not wait.
    pub(super) fn keep(&self, pool: &Pool, priorities: &HashMap<Address, u16>) {
        let rows = {
            let membership = pool.membership.lock();
            let row = |listing: &Listing| KnownEndpoint {
                key: listing.key.clone(),
                address: listing.address.to_string().into(),
                weight: listing.weight,
                priority: priorities.get(&listing.address).copied().unwrap_or_default(),
            };
            membership.listings().map(row).collect()
        };
        self.store.keep_endpoints(&self.upstream, &self.source, rows);
    }
}
