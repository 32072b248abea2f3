//! The evidence of one route's comparisons.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Millis;
use super::difference::Difference;
use super::exchange::KeptExchange;
use super::exchanges::{self, Exchanges};
use super::incomparable::Incomparable;
use super::latency::Latency;
use super::noise::{Counts, NOISE_KNOWN_AFTER};
use super::redact::REDACTED;
use super::rules::Rules;
use super::statuses::{KeptRequest, Statuses};
use super::tally::{Seen, Tallies, Tally};
use super::verdict::{ComparisonResult, Outcome};
use super::window::Window;

/// Of the file format.
const VERSION: u32 = 3;

/// Comparisons that wait until noise is known.
const MAX_WAITING: usize = 1000;

/// Differences in all of these: they are written to disk as often as anything changes.
const MAX_WAITING_DIFFERENCES: usize = 20_000;

/// How long each side took to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    pub control: Duration,
    pub candidate: Duration,
}

/// One comparison that is not judged yet: differences, and no answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Waiting {
    differences: Vec<Difference>,
    unknown: Option<Incomparable>,
    equal: bool,
    at: Millis,
}

/// The side at which noise was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// At the monolith, by safe requests.
    Monolith,
    /// At a service that is a sandbox, by writes.
    Sandbox,
}

/// Counts, noise, examples and latencies of one route under one set of rules. Its size is bounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    version: u32,
    fingerprint: u64,
    /// When it began, and why it did.
    began: Option<(Millis, String)>,
    first: Option<Millis>,
    last: Option<Millis>,
    /// Comparisons whose fields were counted, judged or not.
    taken: u64,
    matches: u64,
    mismatches: u64,
    undecided: u64,
    dropped: u64,
    incomparable: BTreeMap<Incomparable, u64>,
    /// Requests that got a number.
    #[serde(default)]
    numbered: u64,
    /// Replays at the monolith and at the sandbox.
    replays: [u64; 2],
    /// Comparisons whose noise cannot be learned: writes without a sandbox, or no replays at all.
    unlearnable: u64,
    tallies: Tallies,
    statuses: Statuses,
    control: Latency,
    candidate: Latency,
    exchanges: Exchanges,
    /// Match, mismatch and undecided over time.
    verdicts: Window,
    /// Incomparable, replays and taken over time.
    others: Window,
    /// Comparisons that are in no verdict yet; a restart does not lose them.
    #[serde(default)]
    waiting: VecDeque<Waiting>,
}

/// Why a state file is not used; the evidence then begins anew.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Not JSON, or not of this shape.
    #[error("the evidence cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// Written by a version that counted differently.
    #[error("the evidence has format {0}, this program reads {VERSION}")]
    Version(u32),
    /// The rules have changed since.
    #[error("the evidence was gathered under other rules")]
    OtherRules,
    /// Its parts contradict each other.
    #[error("the evidence contradicts itself")]
    Inconsistent,
}

impl Evidence {
    /// Nothing seen yet.
    pub fn new(rules: &Rules) -> Self {
        Self {
            version: VERSION,
            fingerprint: rules.fingerprint(),
            began: None,
            first: None,
            last: None,
            taken: 0,
            matches: 0,
            mismatches: 0,
            undecided: 0,
            dropped: 0,
            incomparable: BTreeMap::new(),
            numbered: 0,
            replays: [0; 2],
            unlearnable: 0,
            tallies: Tallies::default(),
            statuses: Statuses::default(),
            control: Latency::default(),
            candidate: Latency::default(),
            exchanges: Exchanges::default(),
            verdicts: Window::default(),
            others: Window::default(),
            waiting: VecDeque::new(),
        }
    }

    /// Says when it began anew, and why; not of evidence that went on.
    pub fn begin(&mut self, now: Millis, why: &str) {
        if self.first.is_none() {
            self.began = Some((now, why.to_owned()));
        }
    }

    /// Takes one comparison. The verdicts that this settles are those of this comparison and of others that waited; each
    /// comparison is judged once. `learns`: noise of such requests can be known.
    pub fn record(
        &mut self,
        outcome: &Outcome,
        asked: Option<&KeptRequest>,
        took: Took,
        learns: bool,
        now: Millis,
    ) -> Vec<ComparisonResult> {
        self.first.get_or_insert(now);
        self.last = self.last.max(Some(now));
        self.control.record(took.control);
        self.candidate.record(took.candidate);
        let asked = asked.map(|asked| self.number(asked));
        let asked = asked.as_ref();
        if let (Some([from, to]), Some(asked)) = (outcome.statuses, asked)
            && from != to
            && !outcome.agreed
        {
            self.statuses.count(from, Some(to), asked, now);
        }
        if let (Some(why), true) = (outcome.unknown, outcome.differences.is_empty()) {
            return vec![self.count(ComparisonResult::Incomparable(why), now)];
        }
        self.taken += 1;
        self.others.add([0, 0, 1], now);
        let seen = Seen { now, asked, statuses: outcome.statuses };
        self.place(&outcome.differences, now);
        let mut counted = Vec::new();
        for difference in &outcome.differences {
            if let Some(id) = self.tallies.id(&difference.field) {
                self.tallies.count_raw(id, difference, &seen, !counted.contains(&id));
                counted.push(id);
            }
        }
        let differences = outcome.differences.iter().map(|found| found.with_examples(0)).collect();
        let waiting = Waiting { differences, unknown: outcome.unknown, equal: outcome.equal, at: now };
        if learns && !self.noise_known() {
            self.waiting.push_back(waiting);
            return self.drop_oldest();
        }
        if !learns {
            self.unlearnable += 1;
        }
        // Comparisons that waited for noise are judged too, since it is not learned any more.
        let mut ready: Vec<_> = std::mem::take(&mut self.waiting).into();
        ready.push(waiting);
        self.judge(&ready)
    }

    /// Only a bounded number of comparisons waits.
    fn drop_oldest(&mut self) -> Vec<ComparisonResult> {
        let mut dropped = Vec::new();
        let mut differences: usize = self.waiting.iter().map(|one| one.differences.len()).sum();
        while self.waiting.len() > MAX_WAITING || differences > MAX_WAITING_DIFFERENCES {
            let Some(oldest) = self.waiting.pop_front() else { break };
            differences -= oldest.differences.len();
            self.dropped += 1;
            dropped.push(ComparisonResult::Dropped);
        }
        dropped
    }

    /// A copy that got no answer stands against what the monolith answered.
    pub fn record_unanswered(&mut self, status: u16, asked: &KeptRequest, now: Millis) {
        self.first.get_or_insert(now);
        self.last = self.last.max(Some(now));
        let asked = self.number(asked);
        self.statuses.count(status, None, &asked, now);
    }

    fn number(&mut self, asked: &KeptRequest) -> KeptRequest {
        self.numbered += 1;
        KeptRequest { number: self.numbered, ..asked.clone() }
    }

    /// A request that is still kept, by its number; and with which fields it can be asked again.
    pub fn kept_request(&self, number: u64) -> Option<(KeptRequest, Vec<(String, String)>)> {
        let examples = self.tallies.list().iter().flat_map(|tally| &tally.examples);
        let of_examples = examples.filter_map(|kept| kept.asked.as_ref()).find(|asked| asked.number == number);
        let asked = of_examples.or_else(|| self.statuses.request(number)).filter(|asked| asked.number > 0)?;
        let exchange = self.exchanges.list().iter().find(|exchange| exchange.number == number);
        let of_request = [("host", &asked.host), ("accept", &asked.accept)];
        let of_request = of_request.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        let headers = exchange.map_or_else(|| of_request.collect(), |exchange| exchange.headers.clone());
        Some((asked.clone(), headers.into_iter().filter(|(_, value)| !value.contains(REDACTED)).collect()))
    }

    /// Whether a difference makes no mismatch, because the monolith disagrees with itself just there.
    pub fn is_noise(&self, difference: &Difference) -> bool {
        let tally = self.tallies.of(&difference.field);
        tally.is_some_and(|tally| self.is_masked(tally, difference) && !self.rates_are_apart(tally))
    }

    /// Counts one replay: a side's answer compared with its own, a moment later. The verdicts are those of comparisons
    /// that waited for it.
    pub fn record_replay(&mut self, outcome: &Outcome, at: Learned, now: Millis) -> Vec<ComparisonResult> {
        if outcome.unknown.is_some() && outcome.differences.is_empty() {
            return Vec::new();
        }
        let [monolith, sandbox] = &mut self.replays;
        *(if at == Learned::Monolith { monolith } else { sandbox }) += 1;
        self.others.add([0, 1, 0], now);
        self.place(&outcome.differences, now);
        let mut counted = Vec::new();
        for difference in &outcome.differences {
            if let Some(id) = self.tallies.id(&difference.field) {
                self.tallies.count_noise(id, difference, !counted.contains(&id), now);
                counted.push(id);
            }
        }
        if !self.noise_known() || self.waiting.is_empty() {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.judge(&Vec::from(waiting))
    }

    /// All are counted before the first is judged: a field is no fault because it came first.
    fn judge(&mut self, waiting: &[Waiting]) -> Vec<ComparisonResult> {
        for Waiting { differences, at, .. } in waiting {
            let mut counted = Vec::new();
            for difference in differences {
                let Some(id) = self.tallies.id(&difference.field) else { continue };
                let masked = self.tallies.get(id).is_some_and(|tally| self.is_masked(tally, difference));
                if !masked && !counted.contains(&id) {
                    self.tallies.count_open(id, *at);
                    counted.push(id);
                }
            }
        }
        let verdicts: Vec<_> = waiting.iter().map(|one| (self.verdict(one), one.at)).collect();
        verdicts.into_iter().map(|(verdict, at)| self.count(verdict, at)).collect()
    }

    fn is_masked(&self, tally: &Tally, difference: &Difference) -> bool {
        self.noise_known() && tally.masks.cover(&difference.hunks)
    }

    fn verdict(&self, one: &Waiting) -> ComparisonResult {
        let mut informs = one.equal || one.differences.is_empty();
        for difference in &one.differences {
            let Some(tally) = self.tallies.of(&difference.field) else { continue };
            let masked = self.is_masked(tally, difference);
            if self.rates_are_apart(tally) || !masked && self.is_open(tally) {
                return ComparisonResult::Mismatch;
            }
            informs |= masked && difference.rest && !tally.masks.is_whole();
        }
        match one.unknown {
            Some(why) => ComparisonResult::Incomparable(why),
            None if informs => ComparisonResult::Match,
            None => ComparisonResult::Undecided,
        }
    }

    fn count(&mut self, verdict: ComparisonResult, at: Millis) -> ComparisonResult {
        let (verdicts, others) = match verdict {
            ComparisonResult::Match => {
                self.matches += 1;
                ([1, 0, 0], [0; 3])
            }
            ComparisonResult::Mismatch => {
                self.mismatches += 1;
                ([0, 1, 0], [0; 3])
            }
            ComparisonResult::Undecided => {
                self.undecided += 1;
                ([0, 0, 1], [0; 3])
            }
            ComparisonResult::Incomparable(why) => {
                *self.incomparable.entry(why).or_default() += 1;
                ([0; 3], [1, 0, 0])
            }
            ComparisonResult::Dropped => {
                self.dropped += 1;
                return verdict;
            }
        };
        if verdicts != [0; 3] {
            self.verdicts.add(verdicts, at);
        }
        if others != [0; 3] {
            self.others.add(others, at);
        }
        verdict
    }

    /// Whether this request would be kept for export; only then is it worth redacting.
    pub fn wants_exchange(&self, outcome: &Outcome, now: Millis) -> bool {
        self.exchanges.want(outcome, now)
    }

    /// Behind `record` of the same comparison.
    pub fn keep(&mut self, mut exchange: KeptExchange) {
        exchange.number = if exchange.fields.is_empty() { 0 } else { self.numbered };
        self.exchanges.keep(exchange);
    }

    /// Whether it was gathered under these rules; if not, begin anew.
    pub const fn is_about(&self, rules: &Rules) -> bool {
        self.fingerprint == rules.fingerprint()
    }

    /// Comparisons that ended in match or mismatch.
    pub const fn compared(&self) -> u64 {
        self.matches.saturating_add(self.mismatches)
    }

    pub const fn mismatches(&self) -> u64 {
        self.mismatches
    }

    pub const fn undecided(&self) -> u64 {
        self.undecided
    }

    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Comparisons that wait until noise is known.
    pub fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    pub const fn replays(&self) -> u64 {
        self.replays[0].saturating_add(self.replays[1])
    }

    /// Replays at the monolith and at the sandbox.
    pub(super) const fn learned(&self) -> [u64; 2] {
        self.replays
    }

    /// Noise can never be known: no request of this route is sent twice.
    pub const fn is_unlearnable(&self) -> bool {
        self.unlearnable > 0 && self.replays() == 0
    }

    pub const fn noise_known(&self) -> bool {
        self.replays() >= NOISE_KNOWN_AFTER
    }

    /// Every field that ever differed, in no order.
    pub fn tallies(&self) -> &[Tally] {
        self.tallies.list()
    }

    /// Merged fields may have counted one comparison several times; no field differs more often than was compared.
    pub fn counts(&self, tally: &Tally) -> Counts {
        let (compared, replays) = (self.taken, self.replays());
        Counts { raw: tally.raw.min(compared), compared, noise: tally.noise.min(replays), replays }
    }

    /// Differences that no mask covers, against noise that is not known yet.
    fn open_counts(&self, tally: &Tally) -> Counts {
        let judged = self.taken.saturating_sub(self.waiting());
        let noise = tally.masks.unseen().min(self.replays());
        Counts { raw: tally.open.min(judged), compared: judged, noise, replays: self.replays() }
    }

    /// Whether a difference in this field makes a mismatch.
    pub fn is_regression(&self, tally: &Tally) -> bool {
        if !self.noise_known() {
            return tally.raw > 0;
        }
        self.rates_are_apart(tally) || self.is_open(tally)
    }

    /// The service differs from the monolith far more often than the monolith from itself.
    fn rates_are_apart(&self, tally: &Tally) -> bool {
        tally.raw > 0 && self.noise_known() && self.counts(tally).is_regression()
    }

    /// It differs in parts in which the monolith does not.
    fn is_open(&self, tally: &Tally) -> bool {
        !self.noise_known() || tally.open > 0 && !tally.masks.is_whole() && self.open_counts(tally).is_regression()
    }

    /// The least rate of a fault in this field that would have been seen.
    pub(super) fn blind_rate(&self, tally: &Tally) -> f64 {
        let whole = self.counts(tally).blind_rate();
        if tally.masks.leaves_a_rest() { whole.min(self.open_counts(tally).blind_rate()) } else { whole }
    }

    pub(super) const fn statuses(&self) -> &Statuses {
        &self.statuses
    }

    pub(super) const fn began(&self) -> Option<&(Millis, String)> {
        self.began.as_ref()
    }

    /// Match, mismatch, undecided; incomparable, replays, taken since a time.
    pub(super) fn since(&self, from: Millis, now: Millis) -> ([u64; 3], [u64; 3]) {
        (self.verdicts.since(from, now), self.others.since(from, now))
    }

    pub(super) const fn incomparable(&self) -> &BTreeMap<Incomparable, u64> {
        &self.incomparable
    }

    pub(super) fn exchanges(&self) -> &[KeptExchange] {
        self.exchanges.list()
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
        let sound = evidence.tallies.list().len() <= super::tally::MAX_FIELDS + 1
            && evidence.exchanges.list().len() <= exchanges::MAX
            && evidence.waiting.len() <= MAX_WAITING;
        if sound { Ok(evidence) } else { Err(EvidenceError::Inconsistent) }
    }

    fn place(&mut self, differences: &[Difference], now: Millis) {
        for difference in differences {
            self.tallies.place(&difference.field, now);
        }
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
