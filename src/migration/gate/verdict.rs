//! From evidence to a verdict: advance, hold or roll back, why, and what is still needed.

use super::evalue::Count;
use super::evidence::QUANTILES;
use super::judge::Judge;
use super::metric::Metric;
use super::reading::{Needs, Obstacle, Reading};
use super::settings::OnFail;
use super::words;

/// What needs more requests than these does not end.
const FARTHEST: f64 = 1e9;

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Sure that the service is not worse than allowed.
    Advance,
    /// Not sure. Silence is `hold`.
    Hold,
    /// Sure that the service is worse than allowed.
    RollBack,
}

impl Verdict {
    pub const ALL: [Self; 3] = [Self::Advance, Self::Hold, Self::RollBack];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Advance => "advance",
            Self::Hold => "hold",
            Self::RollBack => "roll-back",
        }
    }
}

/// What the evidence does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Circumstances {
    /// Nothing is done at all.
    pub obstacle: Option<Obstacle>,
    pub paused: bool,
    /// A person has to let the route into its next stage.
    pub waiting: bool,
    /// The last move is younger than `settle`.
    pub settling: bool,
    pub breaker_open: bool,
    /// A copy of no request of the route may be sent.
    pub without_copies: bool,
}

/// The verdict with all that it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    pub verdict: Verdict,
    pub why: String,
    pub needs: Needs,
    pub readings: Vec<Reading>,
}

impl Judge {
    /// A roll-back, if the evidence is there. To be asked at each tick.
    #[must_use]
    pub fn worst(&self) -> Option<Metric> {
        self.readings()
            .into_iter()
            .find(|reading| reading.rolls_back && reading.is_worse())
            .map(|reading| reading.metric)
    }

    /// The verdict at the end of an interval, and at any other moment.
    #[must_use]
    pub fn rule(&self, standing: Circumstances) -> Ruling {
        let readings = self.readings();
        let (verdict, why) = self.decide(standing, &readings);
        // More requests do not mend a service that is worse.
        let is_open = verdict == Verdict::Hold && !readings.iter().any(Reading::is_worse);
        let needs = if is_open { self.still_needs(&readings) } else { Needs::Nothing };
        Ruling { verdict, why, needs, readings }
    }

    fn decide(&self, standing: Circumstances, readings: &[Reading]) -> (Verdict, String) {
        if let Some(obstacle) = standing.obstacle {
            return (Verdict::Hold, words::obstacle(obstacle).into_owned());
        }
        if let Some(worse) = readings.iter().find(|reading| reading.is_worse()) {
            let why = words::worse(worse);
            return if worse.rolls_back && self.gate.on_fail == OnFail::RollBack {
                (Verdict::RollBack, why)
            } else {
                (Verdict::Hold, format!("WORSE: {why}"))
            };
        }
        let first = [
            (standing.paused, "paused"),
            (standing.breaker_open, "the breaker is open: the service is not asked"),
            (standing.without_copies, "no request of this route may be copied: there is nothing to compare"),
        ];
        if let Some((_, why)) = first.into_iter().find(|(holds, _)| *holds) {
            return (Verdict::Hold, why.to_owned());
        }
        let unsure: Vec<&Reading> =
            readings.iter().filter(|reading| reading.required && !reading.is_proved()).collect();
        if standing.settling {
            return (Verdict::Hold, "settling after the last move".to_owned());
        }
        if !unsure.is_empty() {
            return (Verdict::Hold, words::unsure(&unsure));
        }
        if let Some(why) = self.too_few() {
            return (Verdict::Hold, why);
        }
        if standing.waiting {
            return (Verdict::Hold, words::WAITS.to_owned());
        }
        (Verdict::Advance, words::sure(readings))
    }

    /// Requests or comparisons below the floor of the file.
    fn too_few(&self) -> Option<String> {
        let compared = whole(self.mismatches.seen.of);
        if !self.scene.shadow && self.requests < self.gate.min_requests {
            return Some(words::too_few(self.requests, self.gate.min_requests, "requests"));
        }
        let judged_by_copies = self.scene.shadow || self.scene.paired;
        (judged_by_copies && compared < self.gate.min_compared)
            .then(|| words::too_few(compared, self.gate.min_compared, "comparisons"))
    }

    fn still_needs(&self, readings: &[Reading]) -> Needs {
        let compared = whole(self.mismatches.seen.of);
        let floor = if self.scene.shadow || self.scene.paired {
            self.gate.min_compared.saturating_sub(compared)
        } else {
            self.gate.min_requests.saturating_sub(self.requests)
        };
        let mut most = floor;
        for reading in readings.iter().filter(|reading| reading.required && !reading.is_proved()) {
            match reading.needs {
                Needs::NoEnd if by_old_limit(reading, readings) => return Needs::OldLimit,
                Needs::NoEnd if matches!(reading.metric, Metric::Latency(_)) && !self.scene.paired => {
                    return Needs::Unpaired;
                }
                Needs::NoEnd | Needs::OldLimit | Needs::Unpaired => return Needs::NoEnd,
                Needs::Requests(requests) => most = most.max(requests),
                Needs::Nothing => {}
            }
        }
        if most == 0 { Needs::Nothing } else { Needs::Requests(most) }
    }

    /// Every metric that the step is judged by.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let (shadow, paired) = (self.scene.shadow, self.scene.paired);
        let mut readings = Vec::new();
        let blank = |metric, margin| Reading {
            metric,
            monolith: Count::default(),
            service: Count::default(),
            margin,
            limits: None,
            worse: 1.0,
            better: 1.0,
            worse_at: self.worse_at(metric),
            better_at: self.better_at(),
            required: false,
            rolls_back: !shadow,
            needs: Needs::Nothing,
            factor: 1.0,
        };
        if !shadow {
            let two_sided = [
                (Metric::Failures, &self.failures, self.gate.max_error_increase, !paired),
                (Metric::Refusals, &self.refusals, self.gate.max_refusal_increase, false),
            ];
            let by_time = (0_u8..).zip(&self.latency).map(|(quantile, test)| {
                (Metric::Latency(quantile), test, self.gate.max_latency_increase, !paired && quantile < 2)
            });
            for (metric, test, margin, required) in two_sided.into_iter().chain(by_time) {
                readings.push(Reading {
                    monolith: test.monolith,
                    service: test.service,
                    limits: self.seconds(metric),
                    worse: test.worse.total(),
                    better: test.better.total(),
                    required,
                    needs: needed(test.needs(self.better_at())),
                    factor: test.factor(),
                    ..blank(metric, margin)
                });
            }
        }
        if shadow || self.scene.compared {
            readings.push(Reading {
                service: self.mismatches.seen,
                worse: self.mismatches.worse.total(),
                better: self.mismatches.better.total(),
                required: shadow || paired,
                needs: needed(self.mismatches.needs(self.better_at())),
                ..blank(Metric::Mismatches, self.gate.max_mismatch)
            });
        }
        if paired {
            let metrics =
                [Metric::PairFailures].into_iter().chain((0..).take(QUANTILES.len()).map(Metric::PairLatency));
            for (metric, test) in metrics.zip(&self.pairs) {
                #[expect(clippy::cast_precision_loss, reason = "requests of a step")]
                let (service, monolith, all) =
                    (test.seen.service_alone as f64, test.seen.monolith_alone as f64, test.seen.pairs as f64);
                let (required, margin) = match metric {
                    Metric::PairLatency(quantile) => (quantile < 2, self.gate.max_latency_increase),
                    _ => (false, 0.0),
                };
                readings.push(Reading {
                    monolith: Count::new(monolith, all),
                    service: Count::new(service, all),
                    limits: self.seconds(metric),
                    worse: test.worse.total(),
                    better: test.better.total(),
                    required,
                    rolls_back: false,
                    needs: needed(test.needs(self.better_at())),
                    ..blank(metric, margin)
                });
            }
        }
        readings
    }
}

fn whole(count: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are not negative")]
    {
        count as u64
    }
}

fn needed(requests: Option<f64>) -> Needs {
    match requests {
        Some(requests) if requests <= 0.0 => Needs::Nothing,
        Some(requests) if requests <= FARTHEST => Needs::Requests(whole(requests)),
        _ => Needs::NoEnd,
    }
}

/// Pairs are compared by the same limits as real answers, and only those say how many of the monolith's are beyond one.
fn by_old_limit(reading: &Reading, readings: &[Reading]) -> bool {
    match reading.metric {
        Metric::PairLatency(quantile) => {
            readings.iter().any(|real| real.metric == Metric::Latency(quantile) && real.has_an_old_limit())
        }
        _ => reading.has_an_old_limit(),
    }
}
