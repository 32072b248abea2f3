//! The members of an upstream by the word of a registry: what a list or an event changes, and what it does not.
//!
//! A registry that is slow, down, restarted or empty takes nothing away by itself. Said outright (a key was deleted, a lease
//! ended), a departure counts at once. Merely absent, a key is doubted first, and goes when a second look lacks it too.
//! When the registry lost its history, or lists nothing at all any more, that is no proof either: what is absent stays as
//! long as it works.

use std::collections::{BTreeMap, BTreeSet};

use super::Address;

/// How much it means that something is missing from a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The registry was watched without a gap since the last list: what is missing was removed.
    Continuous,
    /// The first list after a (re)connection, or a list asked for again.
    Afresh,
    /// The registry is not at the point any more where it was: restored, or emptied.
    HistoryLost,
}

/// One key of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub key: Box<str>,
    pub address: Address,
    pub weight: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Listed,
    /// Missing from one list.
    Doubted,
    /// Missing from a list that proves nothing.
    Orphaned,
}

/// Everything a registry said of one upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    known: BTreeMap<Box<str>, (Listing, Presence)>,
}

impl Membership {
    /// Takes over a whole list.
    pub fn listed(&mut self, list: Vec<Listing>, look: Look) {
        let nothing = list.is_empty();
        let present: BTreeSet<Box<str>> = list.iter().map(|listing| listing.key.clone()).collect();
        for listing in list {
            self.put(listing);
        }
        self.known.retain(|key, (_, standing)| {
            if present.contains(key) {
                return true;
            }
            match (*standing, look) {
                (Presence::Orphaned, _) | (_, Look::HistoryLost) => *standing = Presence::Orphaned,
                (Presence::Listed, Look::Afresh) => *standing = Presence::Doubted,
                (Presence::Doubted, Look::Afresh) if nothing => *standing = Presence::Orphaned,
                (Presence::Doubted, Look::Afresh) | (_, Look::Continuous) => return false,
            }
            true
        });
    }

    /// A key was written.
    pub fn put(&mut self, listing: Listing) {
        self.known.insert(listing.key.clone(), (listing, Presence::Listed));
    }

    /// A key was deleted, or its lease ended.
    pub fn gone(&mut self, key: &str) {
        self.known.remove(key);
    }

    /// The last event of a key.
    pub fn known(&self, key: &str) -> Option<&Listing> {
        self.known.get(key).map(|(listing, _)| listing)
    }

    /// Every key, in order.
    pub fn listings(&self) -> impl Iterator<Item = &Listing> {
        self.known.values().map(|(listing, _)| listing)
    }

    /// Lets go of orphans that do not work.
    pub fn let_go(&mut self, works: impl Fn(&Address) -> bool) {
        self.known.retain(|_, (listing, standing)| *standing != Presence::Orphaned || works(&listing.address));
    }

    /// A second look is due.
    pub fn in_doubt(&self) -> bool {
        self.known.values().any(|(_, standing)| *standing == Presence::Doubted)
    }

    /// Endpoints that are kept although the registry does not list them.
    pub fn orphans(&self) -> usize {
        self.known.values().filter(|(_, standing)| *standing == Presence::Orphaned).count()
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The endpoints, each address once; of several keys for one address the largest weight counts.
    pub fn endpoints(&self) -> Vec<(Address, u32)> {
        let mut endpoints: BTreeMap<&Address, u32> = BTreeMap::new();
        for (listing, _) in self.known.values() {
            let weight = endpoints.entry(&listing.address).or_default();
            *weight = listing.weight.max(*weight);
        }
        endpoints.into_iter().map(|(address, weight)| (address.clone(), weight)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(key: &str) -> Listing {
        Listing { key: key.into(), address: Address::Tcp { host: key.into(), port: 1 }, weight: 1 }
    }

    fn keys(membership: &Membership) -> String {
        membership.known.keys().map(|key| &**key).collect()
    }

    /// Steps: `=ab` a list after a reconnection, `~ab` a list without a gap, `!ab` a list of a registry that lost its
    /// history, `+a` written, `-a` deleted, `xa` orphan a does not work. After each: the members.
    #[test]
    fn only_what_is_said_twice_or_outright_counts() {
        for (name, steps) in [
            ("the first list", &[("=ab", "ab")][..]),
            ("one list without it is doubt, the second is proof", &[("=ab", "ab"), ("=a", "ab"), ("=a", "a")]),
            ("it is back at the second look", &[("=ab", "ab"), ("=a", "ab"), ("=ab", "ab"), ("=a", "ab")]),
            ("a deletion counts at once", &[("=ab", "ab"), ("-b", "a")]),
            ("a deletion counts at once in doubt too", &[("=ab", "ab"), ("=a", "ab"), ("-b", "a")]),
            (
                "written in between ends the doubt",
                &[("=ab", "ab"), ("=a", "ab"), ("+b", "ab"), ("=a", "ab"), ("=a", "a")],
            ),
            ("what is missing without a gap was removed", &[("=ab", "ab"), ("~a", "a"), ("~", "")]),
            ("an empty list proves nothing", &[("=ab", "ab"), ("=", "ab"), ("=", "ab"), ("=", "ab")]),
            ("a lost history proves nothing", &[("=ab", "ab"), ("!", "ab"), ("=", "ab"), ("=c", "abc"), ("~c", "abc")]),
            ("an orphan that does not work goes", &[("=ab", "ab"), ("!a", "ab"), ("xa", "ab"), ("xb", "a")]),
            ("an orphan that is listed again is no orphan", &[("=ab", "ab"), ("!a", "ab"), ("+b", "ab"), ("xb", "ab")]),
            ("an orphan is deleted at once when that is said", &[("=ab", "ab"), ("!a", "ab"), ("-b", "a")]),
            ("the last deletion leaves nobody", &[("=a", "a"), ("-a", "")]),
        ] {
            let mut membership = Membership::default();
            for (step, expected) in steps {
                let (verb, rest) = step.split_at(1);
                let list = || rest.chars().map(|key| listing(&key.to_string())).collect();
                match verb {
                    "=" => membership.listed(list(), Look::Afresh),
                    "~" => membership.listed(list(), Look::Continuous),
                    "!" => membership.listed(list(), Look::HistoryLost),
                    "+" => membership.put(listing(rest)),
                    "-" => membership.gone(rest),
                    _ => membership.let_go(|address| *address != listing(rest).address),
                }
                assert_eq!(keys(&membership), *expected, "{name}: after `{step}`");
            }
        }
    }

    #[test]
    fn a_second_look_is_due_only_while_something_is_doubted() {
        let mut membership = Membership::default();
        membership.listed(vec![listing("a"), listing("b")], Look::Afresh);
        assert!(!membership.in_doubt());
        membership.listed(vec![listing("a")], Look::Afresh);
        assert!(membership.in_doubt());
        membership.listed(vec![listing("a")], Look::Afresh);
        assert!(!membership.in_doubt());
        membership.listed(vec![], Look::HistoryLost);
        assert!(!membership.in_doubt());
        assert_eq!(membership.orphans(), 1);
    }

    #[test]
    fn several_keys_of_one_address_are_one_endpoint_until_the_last_is_gone() {
        let mut membership = Membership::default();
        let same = |key: &str, weight| Listing { key: key.into(), weight, ..listing("a") };
        membership.listed(vec![same("1", 1), same("2", 3)], Look::Afresh);
        assert_eq!(membership.endpoints(), [(listing("a").address, 3)]);
        membership.gone("2");
        assert_eq!(membership.endpoints(), [(listing("a").address, 1)]);
        membership.gone("1");
        assert!(membership.is_empty());
    }
}
