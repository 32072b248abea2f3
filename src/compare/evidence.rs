//! What the comparisons of one route amount to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Millis;
use super::exchange::Exchange;
use super::latency::Latency;
use super::noise::{Counts, NOISE_KNOWN_AFTER};
use super::pattern::Patterns;
use super::rules::Rules;
use super::tally::{Tallies, Tally};
use super::verdict::{Incomparable, Outcome, Verdict};

/// Of the file format.
const VERSION: u32 = 1;

/// Requests kept for export.
const MAX_EXCHANGES: usize = 50;

/// Of these, requests that were answered alike.
const MAX_MATCHES: usize = 5;

/// Of these, requests that show one field.
const MAX_EXCHANGES_OF_FIELD: usize = 5;

/// How long each side took to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    pub control: Duration,
    pub candidate: Duration,
}

/// Counts, noise, examples and latencies of one route under one set of rules. Its size is bounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    version: u32,
    fingerprint: u64,
    first: Option<Millis>,
    last: Option<Millis>,
    /// Comparisons without any difference.
    identical: u64,
    patterns: Patterns,
    incomparable: BTreeMap<Incomparable, u64>,
    replays: u64,
    tallies: Tallies,
    control: Latency,
    candidate: Latency,
    exchanges: Vec<Exchange>,
}

/// Why a state file is not used; the evidence then begins anew.
#[derive(Debug)]
pub enum EvidenceError {
    /// Not JSON, or not of this shape.
    Unreadable(serde_json::Error),
    /// Written by a version that counted differently.
    Version(u32),
    /// What is compared has changed since.
    OtherRules,
    /// Its parts contradict each other.
    Inconsistent,
}

impl fmt::Display for EvidenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "the evidence cannot be read: {error}"),
            Self::Version(version) => write!(f, "the evidence has format {version}, this program reads {VERSION}"),
            Self::OtherRules => f.write_str("the evidence was gathered under other rules"),
            Self::Inconsistent => f.write_str("the evidence contradicts itself"),
        }
    }
}

impl std::error::Error for EvidenceError {}

impl Evidence {
    /// Nothing seen yet.
    pub fn new(rules: &Rules) -> Self {
        Self {
            version: VERSION,
            fingerprint: rules.fingerprint(),
            first: None,
            last: None,
            identical: 0,
            patterns: Patterns::default(),
            incomparable: BTreeMap::new(),
            replays: 0,
            tallies: Tallies::default(),
            control: Latency::default(),
            candidate: Latency::default(),
            exchanges: Vec::new(),
        }
    }

    /// Counts one comparison. The verdict is by what is known of noise at this moment.
    pub fn record(&mut self, outcome: &Outcome, took: Took, now: Millis) -> Verdict {
        self.first.get_or_insert(now);
        self.last = self.last.max(Some(now));
        self.control.record(took.control);
        self.candidate.record(took.candidate);
        if outcome.differences.is_empty() {
            match outcome.unknown {
                None => self.identical += 1,
                Some(why) => *self.incomparable.entry(why).or_default() += 1,
            }
            return outcome.verdict();
        }
        let ids = self.ids(outcome, now);
        if let Some(why) = outcome.unknown
            && !ids.iter().any(|id| self.counts_for(*id))
        {
            // Noise alone was seen, and the rest is not known.
            *self.incomparable.entry(why).or_default() += 1;
            return Verdict::Incomparable(why);
        }
        self.tallies.add(&ids, 1, 0);
        for difference in &outcome.differences {
            if let Some(id) = self.tallies.id(&difference.field) {
                self.tallies.count_raw(id, difference, now);
            }
        }
        let mismatch = ids.iter().any(|id| self.counts_for(*id));
        self.patterns.add(&ids, mismatch);
        if mismatch { Verdict::Mismatch } else { Verdict::Match }
    }

    /// Counts one replay: the monolith's answer compared with the monolith's own, a moment later.
    pub fn record_replay(&mut self, outcome: &Outcome, now: Millis) {
        if outcome.unknown.is_some() && outcome.differences.is_empty() {
            return;
        }
        self.replays += 1;
        let ids = self.ids(outcome, now);
        self.tallies.add(&ids, 0, 1);
    }

    /// Whether this request would be kept for export; only then is it worth redacting.
    pub fn wants_exchange(&self, outcome: &Outcome) -> bool {
        if self.exchanges.len() >= MAX_EXCHANGES || outcome.unknown.is_some() {
            return false;
        }
        if outcome.differences.is_empty() {
            return self.exchanges.iter().filter(|kept| kept.fields.is_empty()).count() < MAX_MATCHES;
        }
        outcome.differences.iter().any(|difference| {
            self.exchanges.iter().filter(|kept| kept.fields.contains(&difference.field)).count()
                < MAX_EXCHANGES_OF_FIELD
        })
    }

    pub fn keep(&mut self, exchange: Exchange) {
        if self.exchanges.len() < MAX_EXCHANGES {
            self.exchanges.push(exchange);
        }
    }

    /// Whether it was gathered under these rules; if not, begin anew.
    pub const fn is_about(&self, rules: &Rules) -> bool {
        self.fingerprint == rules.fingerprint()
    }

    /// Comparisons that ended in match or mismatch.
    pub fn compared(&self) -> u64 {
        self.identical.saturating_add(self.patterns.total())
    }

    /// By what is known of noise now.
    pub fn mismatches(&self) -> u64 {
        self.patterns.mismatches(|id| self.counts_for(id))
    }

    pub const fn replays(&self) -> u64 {
        self.replays
    }

    pub const fn noise_known(&self) -> bool {
        self.replays >= NOISE_KNOWN_AFTER
    }

    /// Every field that ever differed, in no order.
    pub fn tallies(&self) -> &[Tally] {
        self.tallies.list()
    }

    /// Merged fields may have counted one comparison several times; no field differs more often than was compared.
    pub fn counts(&self, tally: &Tally) -> Counts {
        let compared = self.compared();
        Counts { raw: tally.raw.min(compared), compared, noise: tally.noise.min(self.replays), replays: self.replays }
    }

    /// Whether a difference in this field makes a mismatch.
    pub fn is_regression(&self, tally: &Tally) -> bool {
        tally.raw > 0 && (!self.noise_known() || self.counts(tally).is_regression())
    }

    pub(super) const fn incomparable(&self) -> &BTreeMap<Incomparable, u64> {
        &self.incomparable
    }

    pub(super) fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    pub(super) fn latencies(&self) -> [&Latency; 2] {
        [&self.control, &self.candidate]
    }

    pub(super) const fn seen(&self) -> (Option<Millis>, Option<Millis>) {
        (self.first, self.last)
    }

    /// For the state file.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("evidence has text keys alone")
    }

    /// Reads a state file; refuses what was gathered under other rules.
    pub fn from_json(text: &str, rules: &Rules) -> Result<Self, EvidenceError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        // The version first: a later format may look different in everything else.
        let head: Head = serde_json::from_str(text).map_err(EvidenceError::Unreadable)?;
        if head.version != VERSION {
            return Err(EvidenceError::Version(head.version));
        }
        let evidence: Self = serde_json::from_str(text).map_err(EvidenceError::Unreadable)?;
        if !evidence.is_about(rules) {
            return Err(EvidenceError::OtherRules);
        }
        let fields = evidence.tallies.list().len();
        let sound = evidence.patterns.is_sound(fields)
            && fields <= super::tally::MAX_FIELDS + 1
            && evidence.exchanges.len() <= MAX_EXCHANGES;
        if sound { Ok(evidence) } else { Err(EvidenceError::Inconsistent) }
    }

    fn counts_for(&self, id: u16) -> bool {
        self.tallies.get(id).is_some_and(|tally| !self.noise_known() || self.counts(tally).is_regression())
    }

    /// The ids of the fields that differ, each once, rising.
    fn ids(&mut self, outcome: &Outcome, now: Millis) -> Vec<u16> {
        for difference in &outcome.differences {
            if let Some(moved) = self.tallies.place(&difference.field, now) {
                self.patterns.renumber(&moved);
            }
        }
        let mut ids = outcome.differences.iter().filter_map(|found| self.tallies.id(&found.field)).collect::<Vec<_>>();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
