//! The one receiver of the lists and events of every source.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::endpoint::{Address, Listing, Look, Membership};

use super::super::known::KnownEndpoints;
use super::super::pool::{Entry, Informant, Pool, PoolRef};

/// Carries on, or ends because the pool is gone.
pub(super) type Carried = ControlFlow<()>;

/// One pool's ear.
pub(super) struct Sink {
    pool: PoolRef,
    published: Option<Vec<(Address, u32)>>,
    /// SRV records have priorities; addresses that are not here have the first.
    priorities: HashMap<Address, u16>,
    /// A value that could not be read is reported once.
    unreadable: HashMap<Box<str>, String>,
    /// Where a list is kept for a start without the source.
    known: Option<KnownEndpoints>,
}

impl Sink {
    pub(super) fn new(pool: PoolRef, known: Option<KnownEndpoints>) -> Self {
        Self { pool, published: None, priorities: HashMap::new(), unreadable: HashMap::new(), known }
    }

    /// The source answered with a whole list.
    pub(super) fn listed(&mut self, list: Vec<Listing>, look: Look) -> Carried {
        // Endpoints that the process before kept give way to the first list, unless it proves nothing.
        let replaces = !list.is_empty() && self.pool.upgrade().is_some_and(|pool| pool.is_restored());
        let look = if replaces { Look::Continuous } else { look };
        self.change(|membership| membership.listed(list, look))
    }

    pub(super) fn put(&mut self, listing: Listing) -> Carried {
        self.unreadable.remove(&listing.key);
        self.change(|membership| membership.put(listing))
    }

    pub(super) fn gone(&mut self, key: &str) -> Carried {
        self.unreadable.remove(key);
        self.change(|membership| membership.gone(key))
    }

    /// The source named `key` with something that cannot be understood: what was known of it holds on.
    pub(super) fn unreadable(&mut self, key: &str, why: &dyn std::fmt::Display) -> ControlFlow<(), Option<Listing>> {
        let pool = self.pool()?;
        let why = why.to_string();
        if self.unreadable.get(key) != Some(&why) {
            tracing::warn!(upstream = &*pool.spec().name, key, why, "an entry of the registry was passed over");
            self.unreadable.insert(key.into(), why);
        }
        let known = pool.membership.lock().known(key).cloned();
        ControlFlow::Continue(known)
    }

    pub(super) fn set_priorities(&mut self, priorities: HashMap<Address, u16>) {
        if self.priorities != priorities {
            self.priorities = priorities;
            self.published = None;
        }
    }

    /// The source does not answer. The known members stay.
    pub(super) fn trouble(&self, why: &dyn std::fmt::Display) -> Carried {
        self.pool()?.trouble(Informant::Source, Some(why.to_string()));
        Carried::Continue(())
    }

    /// A member is missing from one list.
    pub(super) fn in_doubt(&self) -> bool {
        self.pool.upgrade().is_some_and(|pool| pool.membership.lock().in_doubt())
    }

    /// Something is known, perhaps from the pool before.
    pub(super) fn knows_anybody(&self) -> bool {
        self.pool.upgrade().is_some_and(|pool| !pool.membership.lock().is_empty())
    }

    fn pool(&self) -> ControlFlow<(), Arc<Pool>> {
        self.pool.upgrade().map_or(ControlFlow::Break(()), ControlFlow::Continue)
    }

    fn change(&mut self, change: impl FnOnce(&mut Membership)) -> Carried {
        let pool = self.pool()?;
        let (endpoints, orphans) = {
            let mut membership = pool.membership.lock();
            change(&mut membership);
            membership.let_go(|address| pool.works(address));
            (membership.endpoints(), membership.orphans())
        };
        if self.published.as_ref() != Some(&endpoints) {
            let entry = |(address, weight): &(Address, u32)| Entry {
                address: address.clone(),
                weight: *weight,
                priority: self.priorities.get(address).copied().unwrap_or_default(),
            };
            pool.listed(endpoints.iter().map(entry).collect());
            if let Some(known) = &self.known {
                known.keep(&pool, &self.priorities);
            }
            self.published = Some(endpoints);
        }
        pool.confirmed();
        let lost = (orphans > 0)
            .then(|| format!("the registry no longer lists {orphans} endpoints; they are kept while they work"));
        pool.trouble(Informant::Source, lost);
        Carried::Continue(())
    }
}
