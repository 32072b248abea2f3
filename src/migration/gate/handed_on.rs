//! A judge that is handed on: the next leader of a fleet goes on where the last one was.

use serde::{Deserialize, Serialize};

use super::evidence::{QUANTILES, SideCounts};
use super::judge::{Judge, QuantileLimit};
use super::metric::{Comparison, Sample};
use super::pairs::PairTest;

/// The rule by which evidence is weighed. Evidence that was gathered under another one is of no use.
const RULE: u32 = 2;

/// All that a judge has gathered in its step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandedOn {
    rule: u32,
    step: usize,
    failures: Comparison,
    refusals: Comparison,
    latency: [Comparison; QUANTILES.len()],
    mismatches: Sample,
    pairs: [PairTest; 1 + QUANTILES.len()],
    limits: Option<[QuantileLimit; QUANTILES.len()]>,
    /// The monolith's times while the step settles: bucket and count.
    settling: Vec<(usize, u32)>,
    /// Its times before this step, the same way.
    #[serde(default)]
    before: Vec<(usize, u32)>,
    requests: u64,
    ticks: u64,
}

impl HandedOn {
    /// The limits of time that all replicas count by.
    #[must_use]
    pub const fn limits(&self) -> Option<&[QuantileLimit; QUANTILES.len()]> {
        self.limits.as_ref()
    }
}

impl Judge {
    #[must_use]
    pub fn hand_on(&self) -> HandedOn {
        HandedOn {
            rule: RULE,
            step: self.step,
            failures: self.failures.clone(),
            refusals: self.refusals.clone(),
            latency: self.latency.clone(),
            mismatches: self.mismatches.clone(),
            pairs: self.pairs.clone(),
            limits: self.limits,
            settling: times(&self.settling),
            before: times(&self.before),
            requests: self.requests,
            ticks: self.ticks,
        }
    }

    /// Goes on with what another one gathered in this step; of another step or by another rule it is of no use.
    pub fn go_on(&mut self, from: &HandedOn) {
        if from.rule != RULE || from.step != self.step {
            return;
        }
        self.failures = from.failures.clone();
        self.refusals = from.refusals.clone();
        self.latency.clone_from(&from.latency);
        self.mismatches = from.mismatches.clone();
        self.pairs.clone_from(&from.pairs);
        self.limits = from.limits;
        take_times(&mut self.settling, &from.settling);
        take_times(&mut self.before, &from.before);
        self.requests = from.requests;
        self.ticks = from.ticks;
    }
}

fn times(side: &SideCounts) -> Vec<(usize, u32)> {
    side.late.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect()
}

fn take_times(side: &mut SideCounts, times: &[(usize, u32)]) {
    for (bucket, count) in times {
        if let Some(slot) = side.late.get_mut(*bucket) {
            *slot = *count;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Circumstances, Gate, Scene, Tick};
    use super::*;

    #[test]
    fn the_next_judge_goes_on_as_if_it_had_been_there_from_the_start() {
        let (gate, scene) = (Arc::new(Gate::default()), Scene { shadow: false, compared: true, paired: true });
        let mut first = Judge::new(&gate, scene, 1);
        let tick = |failures: u32| {
            let mut tick = Tick::default();
            for (side, asked) in [(&mut tick.monolith, 900), (&mut tick.service, 100)] {
                for group in 0..64 {
                    side.asked[group] = asked / 64;
                    side.beyond[1][group] = u32::from(group % 9 == 0);
                }
                side.late[120] = asked - failures;
            }
            tick.service.failed[3] = failures;
            tick.copies.compared = 50;
            tick.pairs[0].pairs = 40;
            tick.pairs[0].service_alone = 2;
            tick
        };
        for count in 0..20 {
            first.observe(&tick(count % 3), count > 3);
        }
        let text = serde_json::to_string(&first.hand_on()).expect("it serialises");
        let mut next = Judge::new(&gate, scene, 1);
        next.go_on(&serde_json::from_str(&text).expect("it is read"));
        for count in 0..20 {
            first.observe(&tick(count % 2), true);
            next.observe(&tick(count % 2), true);
        }
        let (one, other) = (first.rule(Circumstances::default()), next.rule(Circumstances::default()));
        assert_eq!((one.verdict, one.why), (other.verdict, other.why));
        for (one, other) in one.readings.iter().zip(&other.readings) {
            assert_eq!((one.metric, one.service, one.monolith), (other.metric, other.service, other.monolith));
            assert!((one.worse.ln() - other.worse.ln()).abs() < 1e-9, "{one:?} {other:?}");
            assert!((one.better.ln() - other.better.ln()).abs() < 1e-9, "{one:?} {other:?}");
        }
        let mut elsewhere = Judge::new(&gate, scene, 2);
        elsewhere.go_on(&first.hand_on());
        assert_eq!(
            elsewhere.rule(Circumstances::default()),
            Judge::new(&gate, scene, 2).rule(Circumstances::default())
        );
    }
}
