//! The counts of all replicas, summed for the one judgement. Pure: the time is an argument.
//!
//! Counts are cumulative since a process began (its `life`), so a report that is lost costs nothing. A report that cannot be
//! ordered is not used: the first sight of a life, one under another dial than the one in force, one that comes again, one that is
//! older than what the leader before has used.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::counts;
use crate::migration::gate::Tick;

/// A replica's weight is its number of requests over this time.
const MINUTE: Duration = Duration::from_secs(60);

/// `evidence/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EvidenceRecord {
    pub life: String,
    /// Rises with each report.
    pub tick: u64,
    pub routes: BTreeMap<String, RouteCounts>,
}

/// The counts of one route since its process began; `[monolith, service]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouteCounts {
    /// Of the dial under which the last of them were counted.
    pub seq: u64,
    /// For people; what is summed is `counts`.
    pub asked: [u64; 2],
    pub failed: [u64; 2],
    pub refused: [u64; 2],
    pub counts: String,
}

impl RouteCounts {
    pub fn of(seq: u64, tick: &Tick) -> Self {
        let (monolith, service) = (&tick.monolith, &tick.service);
        Self {
            seq,
            asked: [monolith.requests(), service.requests()],
            failed: [monolith.failures(), service.failures()],
            refused: [monolith.refusals(), service.refusals()],
            counts: counts::encode(tick),
        }
    }
}

/// The reports of one replica.
#[derive(Debug, Default)]
struct Reported {
    life: String,
    tick: u64,
    routes: HashMap<String, (u64, Tick)>,
    last: Option<Instant>,
    /// Requests of each report, as far as they were in its last minute.
    requests: VecDeque<(Instant, u64)>,
}

/// How many replicas are heard, of how many, and whether they carry enough of the traffic to be judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeardReplicas {
    pub heard: usize,
    pub of: usize,
    pub enough: bool,
}

/// The sums since this replica began to lead.
#[derive(Debug, Default)]
pub struct Sums {
    reported: HashMap<String, Reported>,
    totals: HashMap<String, Tick>,
    /// By name and life, the last tick that the leader before used.
    used: HashMap<(String, String), u64>,
}

impl Sums {
    /// Goes on where the leader before stopped: `gates` are what it said of each gate.
    pub fn after<'v>(gates: impl Iterator<Item = &'v Value>) -> Self {
        let mut sums = Self::default();
        for (name, seen) in gates.filter_map(|gate| gate["seen"].as_object()).flatten() {
            if let (Some(life), Some(tick)) = (seen[0].as_str(), seen[1].as_u64()) {
                let used = sums.used.entry((name.clone(), life.to_owned())).or_default();
                *used = tick.max(*used);
            }
        }
        sums
    }

    /// Life and tick of the last report of each replica, for the leader after this one.
    pub fn seen(&self) -> Value {
        let one = |(name, reported): (&String, &Reported)| (name.clone(), json!([reported.life, reported.tick]));
        Value::Object(self.reported.iter().map(one).collect::<Map<_, _>>())
    }

    /// Takes a report in. `in_force`: the number of each route's dial.
    pub fn take(&mut self, name: &str, record: &EvidenceRecord, in_force: impl Fn(&str) -> Option<u64>, now: Instant) {
        let is_used = |used: &u64| record.tick < *used;
        if self.used.get(&(name.to_owned(), record.life.clone())).is_some_and(is_used) {
            return;
        }
        let before = self.reported.entry(name.to_owned()).or_default();
        let same_life = before.life == record.life;
        if same_life && record.tick <= before.tick {
            return;
        }
        let mut routes = HashMap::with_capacity(record.routes.len());
        let mut requests = 0;
        for (route, counted) in &record.routes {
            let Some(tick) = counts::decode(&counted.counts) else { continue };
            if let Some((seq, earlier)) = before.routes.get(route).filter(|_| same_life) {
                let since = tick.since(earlier);
                requests += since.monolith.requests() + since.service.requests();
                if counted.seq == *seq && in_force(route) == Some(*seq) {
                    self.totals.entry(route.clone()).or_default().add(&since);
                }
            }
            routes.insert(route.clone(), (counted.seq, tick));
        }
        if !same_life {
            before.requests.clear();
        }
        before.requests.push_back((now, requests));
        while before.requests.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > MINUTE) {
            before.requests.pop_front();
        }
        *before = Reported {
            life: record.life.clone(),
            tick: record.tick,
            routes,
            last: Some(now),
            requests: std::mem::take(&mut before.requests),
        };
    }

    /// Everything that was counted of a route since this replica began to lead.
    pub fn totals(&self, route: &str) -> Tick {
        self.totals.get(route).cloned().unwrap_or_default()
    }

    /// Whether the replicas that reported within `patience` carry two thirds of the traffic of all present. A silent one counts
    /// with the traffic of its last minute, one that never reported with the mean of the others'.
    pub fn heard<'m>(&self, members: impl Iterator<Item = &'m str>, patience: Duration, now: Instant) -> HeardReplicas {
        let (mut heard, mut of, mut requests, mut all) = (0, 0, 0_u64, 0_u64);
        let (mut known, mut unknown) = (0, 0);
        for name in members {
            of += 1;
            let Some(reported) = self.reported.get(name) else {
                unknown += 1;
                continue;
            };
            known += 1;
            let own: u64 = reported.requests.iter().map(|(_, requests)| requests).sum();
            all += own;
            if reported.last.is_some_and(|last| now.saturating_duration_since(last) <= patience) {
                heard += 1;
                requests += own;
            }
        }
        all += all * unknown / known.max(1);
        let enough = requests * 3 >= all * 2 && (all > 0 || heard * 3 >= of * 2);
        HeardReplicas { heard, of, enough }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::migration::gate::{Circumstances, Gate, Judge, Scene};

    const SECOND: Duration = Duration::from_secs(1);

    fn report(life: &str, tick: u64, seq: u64, counted: &Tick) -> EvidenceRecord {
        let routes = [("read".to_owned(), RouteCounts::of(seq, counted))].into();
        EvidenceRecord { life: life.to_owned(), tick, routes }
    }

    fn asked(requests: u32) -> Tick {
        let mut tick = Tick::default();
        tick.service.asked[0] = requests;
        tick
    }

    #[test]
    fn what_cannot_be_ordered_is_not_used() {
        let (mut sums, now) = (Sums::default(), Instant::now());
        let in_force = |_: &str| Some(4);
        let table = [
            ("the first sight of a life", report("a", 7, 4, &asked(100)), 0),
            ("what came since", report("a", 8, 4, &asked(130)), 30),
            ("the same again", report("a", 8, 4, &asked(130)), 30),
            ("an older one", report("a", 6, 4, &asked(50)), 30),
            ("some were lost in between", report("a", 11, 4, &asked(200)), 100),
            ("under another dial", report("a", 12, 5, &asked(210)), 100),
            ("the first under this dial again", report("a", 13, 4, &asked(220)), 100),
            ("and on", report("a", 14, 4, &asked(221)), 101),
            ("another life", report("b", 1, 4, &asked(5)), 101),
            ("of which more came", report("b", 2, 4, &asked(6)), 102),
        ];
        for (what, record, expected) in table {
            sums.take("edge-1", &record, in_force, now);
            assert_eq!(sums.totals("read").service.requests(), expected, "{what}");
        }
    }

    /// Prometheus may have another sample at hand than the one that the leader before got, or another Prometheus answers.
    #[test]
    fn a_leader_counts_nothing_again_that_the_one_before_has_used() {
        let (mut before, now) = (Sums::default(), Instant::now());
        for (tick, requests) in [(7, 100), (8, 130), (9, 150)] {
            before.take("edge-1", &report("a", tick, 4, &asked(requests)), |_| Some(4), now);
        }
        let gates =
            [json!({ "seen": before.seen() }), json!({ "seen": { "edge-1": ["a", 8], "edge-2": "?" } }), json!({})];
        let mut after = Sums::after(gates.iter());
        for (tick, requests, expected) in [(7, 100, 0), (8, 130, 0), (9, 150, 0), (10, 157, 7), (11, 160, 10)] {
            after.take("edge-1", &report("a", tick, 4, &asked(requests)), |_| Some(4), now);
            assert_eq!(after.totals("read").service.requests(), expected, "{tick}");
        }
        let mut after = Sums::after(gates.iter());
        after.take("edge-1", &report("b", 1, 4, &asked(5)), |_| Some(4), now);
        after.take("edge-1", &report("b", 2, 4, &asked(6)), |_| Some(4), now);
        assert_eq!(after.totals("read").service.requests(), 1, "another life");
    }

    #[test]
    fn who_carries_a_third_of_the_traffic_must_be_heard() {
        let (mut sums, began) = (Sums::default(), Instant::now());
        for (name, requests) in [("a", 100), ("b", 100), ("c", 20)] {
            sums.take(name, &report("l", 1, 1, &asked(0)), |_| Some(1), began);
            sums.take(name, &report("l", 2, 1, &asked(requests)), |_| Some(1), began);
        }
        let (later, patience) = (began + 30 * SECOND, 10 * SECOND);
        let names = || ["a", "b", "c"].into_iter();
        assert_eq!(sums.heard(names(), patience, began), HeardReplicas { heard: 3, of: 3, enough: true });
        for name in ["a", "b"] {
            sums.take(name, &report("l", 3, 1, &asked(200)), |_| Some(1), later);
        }
        assert_eq!(
            sums.heard(names(), patience, later),
            HeardReplicas { heard: 2, of: 3, enough: true },
            "the small one is silent"
        );
        let still_later = later + 15 * SECOND;
        sums.take("a", &report("l", 4, 1, &asked(300)), |_| Some(1), still_later);
        sums.take("c", &report("l", 3, 1, &asked(30)), |_| Some(1), still_later);
        assert_eq!(
            sums.heard(names(), patience, still_later),
            HeardReplicas { heard: 2, of: 3, enough: false },
            "a large one is silent"
        );
        assert!(sums.heard(["a", "c"].into_iter(), patience, still_later).enough, "its lease is over");
        let with_one_more = sums.heard(["a", "c", "new"].into_iter(), patience, still_later);
        assert_eq!(with_one_more, HeardReplicas { heard: 2, of: 3, enough: true }, "one of three is not known yet");
        let with_two_more = sums.heard(["a", "c", "new", "other"].into_iter(), patience, still_later);
        assert!(!with_two_more.enough, "half of the replicas was never heard: {with_two_more:?}");
    }

    #[test]
    fn three_replicas_with_a_third_of_the_traffic_are_judged_as_one_with_all_of_it() {
        judged_as_one(|_, record| {
            let text = serde_json::to_string(&record).expect("a record serialises");
            serde_json::from_str(&text).expect("a record")
        });
    }

    /// The same requests, on three replicas or on one: the judge sees the same counts, and says the same. `carry`: how a report
    /// comes to the judge.
    pub(in crate::fleet) fn judged_as_one(carry: impl Fn(&str, EvidenceRecord) -> EvidenceRecord) {
        let mut random = fastrand::Rng::with_seed(22);
        let scene = Scene { shadow: false, compared: false, paired: false };
        for (bad, verdict) in [(0, "advance"), (30, "roll-back")] {
            let gate = Arc::new(Gate::default());
            let (mut alone, mut fleet) = (Judge::new(&gate, scene, 1), Judge::new(&gate, scene, 1));
            let (mut sums, mut parts, mut before) = (Sums::default(), vec![Tick::default(); 3], Tick::default());
            let now = Instant::now();
            let names = ["a", "b", "c"];
            for (name, part) in names.iter().zip(&parts) {
                sums.take(name, &carry(name, report("1", 1, 1, part)), |_| Some(1), now);
            }
            for tick in 0..200_u64 {
                let mut whole = Tick::default();
                for request in 0..300 {
                    let part = &mut parts[request % 3];
                    let mut more = Tick::default();
                    let side = if request % 2 == 0 { &mut more.service } else { &mut more.monolith };
                    let group = random.usize(0..64);
                    side.asked[group] = 1;
                    if request % 2 == 0 && random.u32(0..1000) < bad {
                        side.failed[group] = 1;
                    } else {
                        let bucket = 100 + random.usize(0..64);
                        side.late[bucket] = 1;
                        for beyond in side.beyond.iter_mut() {
                            beyond[group] = u32::from(bucket > 150);
                        }
                    }
                    part.add(&more);
                    whole.add(&more);
                }
                alone.observe(&whole, tick > 5);
                for (name, part) in names.iter().zip(&parts) {
                    sums.take(name, &carry(name, report("1", tick + 2, 1, part)), |_| Some(1), now);
                }
                let totals = sums.totals("read");
                fleet.observe(&totals.since(&before), tick > 5);
                before = totals;
                let (one, three) = (alone.rule(Circumstances::default()), fleet.rule(Circumstances::default()));
                assert_eq!(one, three, "tick {tick}");
            }
            assert_eq!(fleet.rule(Circumstances::default()).verdict.as_str(), verdict);
        }
    }
}
