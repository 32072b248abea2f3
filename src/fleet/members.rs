//! The replicas that are up, and what is in force there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::record::MemberRecord;
use super::{Fleet, FleetRole, Shared};

/// One replica, as `GET /api/v1/fleet` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub name: String,
    pub version: String,
    pub generation: u64,
    pub leader: bool,
    /// Where its admin listener is.
    pub address: String,
    /// Of the stages and weights that its file says: two that differ have different files.
    pub file: String,
    /// This is the replica that was asked.
    pub asked: bool,
    /// Entries of the journal that are in force there, by route.
    pub seq: BTreeMap<String, u64>,
    /// Routes that were rolled back there, of which the others have not heard yet; known of the replica that was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<String>,
}

/// The last entry of each route, on whichever replica it is in force.
pub fn newest_dials(members: &[Member]) -> BTreeMap<&str, u64> {
    let mut newest = BTreeMap::<&str, u64>::new();
    for (route, seq) in members.iter().flat_map(|member| &member.seq) {
        let known = newest.entry(route.as_str()).or_default();
        *known = (*known).max(*seq);
    }
    newest
}

impl Fleet {
    /// All that are listed, in the order of their names. Without etcd: those that were there last.
    pub fn members(&self) -> Vec<Member> {
        let role = self.role();
        let untold = self.unsent_routes();
        let seen = self.shared.seen.lock();
        let leader = match &role {
            FleetRole::Leads(_) => Some(self.shared.name.clone()),
            FleetRole::Follows(_) => seen.leader.as_ref().map(|(name, _)| name.clone()),
            // The leader is not known now.
            FleetRole::Cut => None,
        };
        let mut all: BTreeMap<&str, _> = seen.members.iter().map(|(name, record)| (&**name, record)).collect();
        let own = self.shared.own.lock();
        all.insert(&self.shared.name, &own);
        let member = |(name, record): (&str, &MemberRecord)| Member {
            name: name.to_owned(),
            version: record.version.clone(),
            generation: record.generation,
            leader: leader.as_deref() == Some(name),
            address: record.address.clone(),
            file: record.file.clone(),
            asked: name == &*self.shared.name,
            seq: record.seq.clone(),
            untold: untold.iter().filter(|_| name == &*self.shared.name).map(ToString::to_string).collect(),
        };
        all.into_iter().map(member).collect()
    }

    /// Tells the others what is in force here.
    pub fn say(&self, generation: u64, file: String, seq: BTreeMap<String, u64>) {
        let mut own = self.shared.own.lock();
        if (own.generation, &own.file, &own.seq) != (generation, &file, &seq) {
            own.generation = generation;
            own.file = file;
            own.seq = seq;
            drop(own);
            self.shared.publish.notify_one();
        }
    }

    /// Waits until an entry is in force everywhere, at most `limit`: how many have it, of how many.
    pub fn until_in_force(&self, route: &str, seq: u64, limit: Duration) -> (usize, usize) {
        self.shared.until_members(|record| record.seq.get(route).is_some_and(|known| *known >= seq), limit)
    }
}

impl Shared {
    /// Waits until all others have it, at most `limit`: how many have it, of how many, this replica among them.
    pub(super) fn until_members(&self, has: impl Fn(&MemberRecord) -> bool, limit: Duration) -> (usize, usize) {
        let until = Instant::now() + limit;
        let mut seen = self.seen.lock();
        loop {
            let others = seen.members.iter().filter(|(name, _)| **name != self.name);
            let (mut have, mut of) = (1, 1);
            for (_, record) in others {
                of += 1;
                have += usize::from(has(record));
            }
            if have == of || self.changed.wait_until(&mut seen, until).timed_out() {
                return (have, of);
            }
        }
    }
}
