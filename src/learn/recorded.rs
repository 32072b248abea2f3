//! Recorded requests: what a route may ask of a request, without its values. A new file is tried on them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::PathWords;
use crate::compile::Snapshot;
use crate::route::{ConditionKind, ConditionOn, Facts};

/// All that are kept; about 100 bytes each.
const MOST: usize = 65_536;
/// Of one endpoint, so that a busy one leaves room for the quiet ones.
const MOST_OF_ONE: usize = 512;
/// A value that a condition names is kept as it is, up to here.
const LONGEST: usize = 64;

/// One request, as far as routing may look at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedRequest {
    /// Since 1970.
    pub minute: u32,
    /// The method that routes are matched by.
    pub method: String,
    pub host: String,
    /// Normalised; values are replaced by one of their kind.
    pub path: String,
    /// The endpoint that it is shown under, where the inventory has come to see more values in the path since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// The names asked about that this request had.
    pub asked: Vec<RecordedValue>,
    /// All that was asked about: a place in [`Recorded::names`].
    #[serde(default)]
    pub names: usize,
    pub unit: Option<RecordedUnit>,
    /// For how many requests it stands.
    pub weight: u32,
}

/// The client's unit, by its hashes alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedUnit {
    /// The sources in the order in which they were looked for.
    pub sticky: String,
    pub cohort: String,
    /// Under that cohort.
    pub bucket: u16,
    /// Of the unit alone: one number a client.
    pub hash: u64,
}

/// A header, cookie or query value that the file asks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedValue {
    /// `header`, `cookie` or `query`.
    pub on: String,
    pub name: String,
    /// The value itself where a condition names it; `None`: another one, of which the hash is known.
    pub text: Option<String>,
    pub hash: u64,
}

/// The questions of a file: names, the values that its conditions take, and the words that its paths name.
#[derive(Debug, Default, Clone)]
pub struct AskedNames {
    names: Vec<(ConditionOn, Box<str>, Vec<ConditionKind>)>,
    words: Arc<PathWords>,
    /// Where the names stand in [`Recorded::names`].
    number: usize,
}

impl AskedNames {
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut names = Self::default();
        let mut words = PathWords::default();
        for route in &snapshot.routes {
            for template in &route.rule.paths {
                words.add(template);
            }
            for condition in &route.rule.conditions {
                names.add(condition.on, &condition.name, &condition.kind);
            }
        }
        names.words = Arc::new(words);
        names
    }

    fn add(&mut self, on: ConditionOn, name: &str, kind: &ConditionKind) {
        if let Some((_, _, kinds)) = self.names.iter_mut().find(|(other, known, _)| *other == on && **known == *name) {
            kinds.push(kind.clone());
        } else {
            self.names.push((on, name.into(), vec![kind.clone()]));
        }
    }

    /// Adds what another file asks about.
    pub(super) fn join(&mut self, other: &Self) {
        for (on, name, kinds) in &other.names {
            for kind in kinds {
                self.add(*on, name, kind);
            }
        }
        Arc::make_mut(&mut self.words).join(&other.words);
    }

    /// The words that recorded paths keep.
    #[must_use]
    pub fn words(&self) -> &Arc<PathWords> {
        &self.words
    }

    /// Everything, as [`Recorded::names`] has it.
    pub(super) fn set(&self) -> Vec<String> {
        let mut names = self.in_words();
        names.extend(self.words.in_words());
        names.sort_unstable();
        names
    }

    pub(super) fn numbered(self, number: usize) -> Self {
        Self { number, ..self }
    }

    #[must_use]
    pub const fn number(&self) -> usize {
        self.number
    }

    /// Headers, cookies and query values: `header:x-tenant`, sorted.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        let mut names: Vec<String> = self.names().map(|(on, name)| format!("{on}:{name}")).collect();
        names.sort_unstable();
        names
    }

    /// Each name with where it stands.
    pub fn names(&self) -> impl Iterator<Item = (ConditionOn, &str)> {
        self.names.iter().map(|(on, name, _)| (*on, &**name))
    }

    /// The values of a request under these names.
    #[must_use]
    pub fn values(&self, facts: &Facts<'_>) -> Vec<RecordedValue> {
        let mut values = Vec::new();
        for (on, name, kinds) in &self.names {
            let Some(value) = on.text(name, facts) else { continue };
            // A token is never kept, whatever a condition makes of it.
            let is_secret = *on == ConditionOn::Cookie || matches!(&**name, "authorization" | "proxy-authorization");
            let named = kinds.iter().any(|kind| match kind {
                ConditionKind::Equal(own) => **own == *value,
                ConditionKind::Regex(regex) => !is_secret && regex.is_match(&value),
                ConditionKind::Present | ConditionKind::Absent => false,
            });
            values.push(RecordedValue {
                on: on.to_string(),
                name: name.to_string(),
                hash: xxh3_64(value.as_bytes()),
                text: (named && value.len() <= LONGEST).then_some(value),
            });
        }
        values
    }
}

/// A fair choice of what was seen, for each endpoint (Vitter 1985, "algorithm R").
#[derive(Debug, Default, Clone)]
pub struct Reservoir {
    cells: HashMap<String, Cell>,
    kept: usize,
}

#[derive(Debug, Default, Clone)]
struct Cell {
    /// Requests that were offered, and those that they stand for.
    offered: u64,
    seen: u64,
    kept: Vec<RecordedRequest>,
}

/// Recorded requests, ready to be kept or tried on.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The layout; another number is another version.
    pub version: u32,
    /// `on:name` and `path:word` that requests were asked about, by [`RecordedRequest::names`]: other files ask about other things.
    pub names: Vec<Vec<String>>,
    pub requests: Vec<RecordedRequest>,
}

impl Recorded {
    /// Whether it is known if the request had this, `header:x-tenant` or `path:me`.
    #[must_use]
    pub fn was_asked(&self, request: &RecordedRequest, name: &str) -> bool {
        self.names.get(request.names).is_some_and(|names| names.iter().any(|known| known == name))
    }
}

/// The version that this program writes.
pub const RECORDED_VERSION: u32 = 2;

impl Reservoir {
    pub fn add(&mut self, request: RecordedRequest, random: u64) {
        let key = format!("{} {}", request.method, request.path);
        if self.kept >= MOST && !self.cells.contains_key(&key) {
            // The endpoint with most gives one up for one that has none.
            let most = self.cells.values_mut().max_by_key(|cell| cell.kept.len());
            let Some(most) = most.filter(|cell| cell.kept.len() > 1) else { return };
            let place = usize::try_from(random % most.kept.len() as u64).unwrap_or(0);
            most.kept.swap_remove(place);
            self.kept -= 1;
        }
        let full = self.kept >= MOST;
        let cell = self.cells.entry(key).or_default();
        cell.offered += 1;
        cell.seen += u64::from(request.weight);
        if cell.kept.len() < MOST_OF_ONE && !full {
            cell.kept.push(request);
            self.kept += 1;
            return;
        }
        let place = usize::try_from(random % cell.offered).unwrap_or(usize::MAX);
        if let Some(slot) = cell.kept.get_mut(place) {
            *slot = request;
        }
    }

    /// Everything, each with the weight that makes an endpoint's sum what was seen of it.
    #[must_use]
    pub fn all(&self) -> Vec<RecordedRequest> {
        let mut all = Vec::with_capacity(self.kept);
        for cell in self.cells.values() {
            let (count, seen) = (cell.kept.len() as u64, cell.seen);
            for (at, request) in (0..).zip(&cell.kept) {
                // The remainder goes to the first ones, one each.
                let weight = seen / count + u64::from(at < seen % count);
                all.push(RecordedRequest { weight: u32::try_from(weight).unwrap_or(u32::MAX), ..request.clone() });
            }
        }
        all
    }

    /// The numbers of the sets of names that requests have.
    pub(super) fn sets(&self) -> HashSet<usize> {
        self.cells.values().flat_map(|cell| &cell.kept).map(|request| request.names).collect()
    }

    /// Takes back what was kept: each counts as one that was offered.
    pub fn take_back(&mut self, requests: Vec<RecordedRequest>) {
        for (number, request) in (0..).zip(requests) {
            self.add(request, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, minute: u32) -> RecordedRequest {
        RecordedRequest {
            minute,
            method: "GET".to_owned(),
            host: String::new(),
            path: path.to_owned(),
            shown: None,
            asked: Vec::new(),
            names: 0,
            unit: None,
            weight: 1,
        }
    }

    #[test]
    fn a_busy_endpoint_leaves_room_for_a_quiet_one_and_the_weights_are_what_was_seen() {
        let mut reservoir = Reservoir::default();
        for number in 0..10_000_u32 {
            let random = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
            reservoir.add(request("/busy", number), random);
        }
        reservoir.add(request("/quiet", 1), 0);
        let all = reservoir.all();
        let weight =
            |path: &str| all.iter().filter(|one| one.path == path).map(|one| u64::from(one.weight)).sum::<u64>();
        assert_eq!((all.len(), weight("/busy"), weight("/quiet")), (MOST_OF_ONE + 1, 10_000, 1));
        let mean = all.iter().filter(|one| one.path == "/busy").map(|one| f64::from(one.minute)).sum::<f64>() / 512.0;
        assert!((4_400.0..5_600.0).contains(&mean), "not a fair choice of the time: {mean}");
    }

    #[test]
    fn an_endpoint_that_comes_when_all_places_are_taken_still_has_one() {
        let mut reservoir = Reservoir::default();
        let endpoints = u32::try_from(MOST / MOST_OF_ONE).expect("few");
        for number in 0..u32::try_from(MOST).expect("few") {
            reservoir.add(request(&format!("/{}", number % endpoints), number), u64::from(number));
        }
        assert_eq!(reservoir.all().len(), MOST);
        for late in 0..10 {
            reservoir.add(request(&format!("/late/{late}"), late), 7);
        }
        let all = reservoir.all();
        assert_eq!((all.len(), all.iter().filter(|one| one.path.starts_with("/late/")).count()), (MOST, 10));
        assert_eq!(all.iter().map(|one| u64::from(one.weight)).sum::<u64>(), MOST as u64 + 10, "what was seen");
    }
}
