//! Collects a step's evidence, tick by tick, and says what it proves.

use std::sync::Arc;

use super::evalue::Proportion;
use super::evidence::{LATE_BUCKETS, QUANTILES, SideCounts, Tick, late_bound, shifted};
use super::metric::{Against, Comparison, Metric, Missing, Sample, Seen};
use super::pairs::PairTest;
use super::settings::Gate;

/// The kinds of evidence that can judge a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scene {
    /// In `shadow`: the monolith answers all clients, the service gets copies.
    pub shadow: bool,
    /// Copies are compared.
    pub compared: bool,
    /// They prove what they can.
    pub paired: bool,
}

/// Limits of time of one quantile, as buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct QuantileLimit {
    /// The monolith's own quantile.
    pub monolith: usize,
    /// With what is allowed on top, rounded up: beyond it the service is late.
    pub service: usize,
    /// The same rounded down.
    pub service_better: usize,
}

/// From this many answers on, the 95th percentile has ten of them beyond it, and is not the luck of a few.
const ENOUGH: u64 = 200;
/// Of this many answers 50 lie beyond the 95th percentile: whether the monolith left its limit is not chance.
const WINDOW_ANSWERS: u64 = 1000;
/// Ticks of a window: what passes sooner did not change for good.
const WINDOW_TICKS: u32 = 60;
/// Of more answers, the older ones count half.
const LATELY: u64 = 10_000;

/// The evidence of one step of one route.
#[derive(Debug, Clone)]
pub struct Judge {
    pub(super) gate: Arc<Gate>,
    pub(super) scene: Scene,
    pub(super) step: usize,
    pub(super) failures: Comparison,
    pub(super) refusals: Comparison,
    pub(super) latency: [Comparison; QUANTILES.len()],
    pub(super) mismatches: Sample,
    /// Failures, then each quantile.
    pub(super) pairs: [PairTest; 1 + QUANTILES.len()],
    pub(super) limits: Option<[QuantileLimit; QUANTILES.len()]>,
    /// The monolith's times while the step settles.
    pub(super) settling: SideCounts,
    /// The monolith's times in this step and, as `before`, lately in the steps before it: where little came while the step settled,
    /// its limits rest on them, too.
    pub(super) times: SideCounts,
    pub(super) before: SideCounts,
    /// Its latest times, against which the limits are held.
    window: SideCounts,
    window_ticks: u32,
    /// How often limits were measured anew in this step.
    pub(super) measured_anew: u32,
    /// Requests that the service was assigned in this step.
    pub(super) requests: u64,
    /// Ticks with requests on both sides.
    pub(super) ticks: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts of one tick")]
fn count(counted: u64, of: u64) -> Proportion {
    Proportion::new(counted as f64, of as f64)
}

impl Judge {
    #[must_use]
    pub fn new(gate: &Arc<Gate>, scene: Scene, step: usize) -> Self {
        let latency = QUANTILES.map(|quantile| {
            // A tail is what its quantile says: nothing has to be learnt first.
            Comparison::new(Against::Odds, (1.0 - quantile) * 250.0)
        });
        Self {
            gate: Arc::clone(gate),
            scene,
            step,
            failures: Comparison::new(Against::Margin(gate.max_error_increase), 0.5),
            refusals: Comparison::new(Against::Margin(gate.max_refusal_increase), 0.5),
            latency,
            mismatches: Sample::new(gate.max_mismatch),
            pairs: Default::default(),
            limits: None,
            settling: SideCounts::default(),
            times: SideCounts::default(),
            before: SideCounts::default(),
            window: SideCounts::default(),
            window_ticks: 0,
            measured_anew: 0,
            requests: 0,
            ticks: 0,
        }
    }

    /// The dial moved: the evidence begins anew, what is known of the clients stays in part.
    pub fn next_step(&mut self, scene: Scene, step: usize) {
        self.scene = scene;
        self.step = step;
        self.failures.next_step();
        self.refusals.next_step();
        self.latency.iter_mut().for_each(Comparison::next_step);
        self.mismatches = Sample::new(self.gate.max_mismatch);
        self.pairs = Default::default();
        self.limits = None;
        self.settling = SideCounts::default();
        // A step in which hardly anything came tells less than those before it.
        let times = std::mem::take(&mut self.times);
        if times.answered() < ENOUGH {
            self.before.add_times(&times);
        } else {
            self.before = times;
        }
        self.window = SideCounts::default();
        self.window_ticks = 0;
        self.measured_anew = 0;
        self.requests = 0;
        self.ticks = 0;
    }

    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    #[must_use]
    pub const fn scene(&self) -> Scene {
        self.scene
    }

    /// From 0.
    #[must_use]
    pub const fn step(&self) -> usize {
        self.step
    }

    /// The limits of time that answers are to be counted by; `None` while the step settles.
    #[must_use]
    pub const fn limits(&self) -> Option<&[QuantileLimit; QUANTILES.len()]> {
        self.limits.as_ref()
    }

    /// Takes one tick's counts in. `settled`: the tick did not begin within `settle` after a move.
    pub fn observe(&mut self, tick: &Tick, settled: bool) {
        let (monolith, service) = (&tick.monolith, &tick.service);
        self.requests += service.requests();
        self.ticks += u64::from(monolith.requests() > 0 && service.requests() > 0);
        two_sided(&mut self.failures, tick, |side| (side.failures(), &side.failed));
        two_sided(&mut self.refusals, tick, |side| (side.refusals(), &side.refused));
        self.times.add_times(monolith);
        if self.times.answered() > LATELY {
            self.times.halve_times();
        }
        if settled {
            self.latency(monolith, service);
        } else {
            self.settle(monolith);
        }
        self.mismatches.tick(count(tick.copies.mismatched, tick.copies.compared));
        for (test, pairs) in self.pairs.iter_mut().zip(tick.pairs) {
            test.tick(pairs);
        }
        if settled {
            self.window.add_times(monolith);
            self.check_limits();
        }
    }

    /// A tick in which nothing was counted: what [`Judge::observe`] makes of an empty one, without its zeros. Whether the limits of
    /// time are others than before: nothing else that a ruling rests on can be.
    pub fn observe_nothing(&mut self, settled: bool) -> bool {
        self.failures.learn(Proportion::default());
        self.refusals.learn(Proportion::default());
        if !settled {
            return false;
        }
        let before = (self.limits, self.measured_anew);
        if self.limits.is_some() {
            self.latency.iter_mut().for_each(|test| test.learn(Proportion::default()));
        } else {
            self.set_limits();
        }
        self.check_limits();
        (self.limits, self.measured_anew) != before
    }

    /// Where the monolith's own times left a limit for good, and its tests get nowhere by it, it is measured anew.
    fn check_limits(&mut self) {
        self.window_ticks = self.window_ticks.saturating_add(1);
        if self.window_ticks < WINDOW_TICKS {
            return;
        }
        let all = self.window.answered();
        let Some(mut limits) = self.limits.filter(|_| all >= WINDOW_ANSWERS) else { return };
        let window = std::mem::take(&mut self.window);
        self.window_ticks = 0;
        let mut any = false;
        for (index, quantile) in QUANTILES.into_iter().enumerate() {
            let seen = count(window.later_than(limits[index].monolith), all);
            let Some(limit) = self.limit(&window, quantile) else { continue };
            if is_left_behind(quantile, seen.rate()) && self.is_stuck(index) {
                limits[index] = limit;
                self.latency[index].limit_changed();
                self.latency[index].learn(count(window.later_than(limit.monolith), all));
                self.pairs[1 + index].limit_changed();
                any = true;
            }
        }
        self.limits = Some(limits);
        self.measured_anew += u32::from(any);
    }

    /// Neither real answers nor pairs come nearer to a proof.
    fn is_stuck(&self, quantile: usize) -> bool {
        let real = (!self.scene.shadow).then(|| self.latency[quantile].needs(self.better_at()));
        let pairs = self.scene.paired.then(|| self.pairs[1 + quantile].needs(self.better_at()));
        let mut known = [real, pairs].into_iter().flatten().filter(|missing| *missing != Missing::Unknown).peekable();
        known.peek().is_some() && known.all(|missing| missing == Missing::NoEnd)
    }

    /// How often the limits of this step were measured anew.
    #[must_use]
    pub const fn measured_anew(&self) -> u32 {
        self.measured_anew
    }

    fn settle(&mut self, monolith: &SideCounts) {
        self.settling.add_times(monolith);
    }

    fn latency(&mut self, monolith: &SideCounts, service: &SideCounts) {
        let Some(limits) = self.limits else {
            if self.settling.answered() == 0 {
                self.settle(monolith);
            }
            // This tick was counted without the limits, and may be where they come from: it is not tested.
            self.set_limits();
            return;
        };
        for (quantile, (test, limit)) in self.latency.iter_mut().zip(limits).enumerate() {
            for (index, side) in [monolith, service].into_iter().enumerate() {
                let answered = side.asked.iter().zip(&side.failed).map(|(asked, failed)| asked.saturating_sub(*failed));
                test.groups(index).add(answered, side.beyond[quantile].iter().copied());
            }
            let (of_monolith, of_service) = (monolith.answered(), service.answered());
            let seen = Seen {
                monolith: count(monolith.later_than(limit.monolith), of_monolith),
                service_worse: count(service.later_than(limit.service), of_service),
                service_better: count(service.later_than(limit.service_better), of_service),
            };
            test.tick(seen);
        }
    }

    fn set_limits(&mut self) {
        if self.settling.answered() > 0 && self.settling.answered() < ENOUGH {
            self.settling.add_times(&self.before);
        }
        let limits = QUANTILES.map(|quantile| self.limit(&self.settling, quantile));
        let [Some(p50), Some(p95), Some(p99)] = limits else { return };
        let all = self.settling.answered();
        for (test, limit) in self.latency.iter_mut().zip([p50, p95, p99]) {
            test.learn(count(self.settling.later_than(limit.monolith), all));
        }
        self.limits = Some([p50, p95, p99]);
    }

    /// The limit that a quantile of the monolith's times sets for the service.
    fn limit(&self, times: &SideCounts, quantile: f64) -> Option<QuantileLimit> {
        let factor = 1.0 + self.gate.max_latency_increase;
        times.quantile(quantile).map(|monolith| QuantileLimit {
            monolith,
            service: shifted(monolith, factor, true),
            service_better: shifted(monolith, factor, false),
        })
    }

    /// The threshold of M's evidence for "worse" for a roll-back: the error is shared among the tests and the steps.
    #[must_use]
    pub fn worse_at(&self, metric: Metric) -> f64 {
        let share = match metric {
            Metric::Failures | Metric::PairFailures => 2.0,
            Metric::Refusals | Metric::Mismatches => 8.0,
            // Three quantiles share a quarter.
            Metric::Latency(_) | Metric::PairLatency(_) => 12.0,
        };
        #[expect(clippy::cast_precision_loss, reason = "at most 20 steps")]
        let steps = self.gate.steps.len() as f64;
        steps * share / self.gate.alpha()
    }

    /// The threshold of the evidence for "better".
    #[must_use]
    pub fn better_at(&self) -> f64 {
        1.0 / self.gate.alpha()
    }

    /// The limits of a metric of time in seconds: the monolith's, and what is allowed.
    pub(super) fn seconds(&self, metric: Metric) -> Option<(f64, f64)> {
        let (Metric::Latency(quantile) | Metric::PairLatency(quantile)) = metric else { return None };
        let limit = self.limits.as_ref()?.get(usize::from(quantile))?;
        Some((late_bound(limit.monolith) / 1e9, late_bound(limit.service) / 1e9))
    }
}

/// Hardly any or nearly all of the monolith's own times are beyond the limit of a quantile: both sides look the same there.
pub(super) fn is_left_behind(quantile: f64, rate: f64) -> bool {
    let beyond = 1.0 - quantile;
    rate < beyond / 4.0 || rate > f64::midpoint(beyond, 1.0)
}

/// A test of how many of each side's requests had a property.
fn two_sided(
    test: &mut Comparison,
    tick: &Tick,
    property: impl Fn(&SideCounts) -> (u64, &[u32; super::overdispersion::GROUPS]),
) {
    let mut counts = [Proportion::default(); 2];
    for (index, side) in [&tick.monolith, &tick.service].into_iter().enumerate() {
        let (counted, groups) = property(side);
        counts[index] = count(counted, side.requests());
        test.groups(index).add(side.asked.iter().copied(), groups.iter().copied());
    }
    let [monolith, service] = counts;
    test.tick(Seen { monolith, service_worse: service, service_better: service });
}

const _: () = assert!(LATE_BUCKETS == 640, "the limits are written as 16 bits");
