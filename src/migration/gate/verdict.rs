//! From evidence to a verdict: advance, hold or roll back, why, and what is still needed.

use super::evalue::Proportion;
use super::evidence::QUANTILES;
use super::judge::Judge;
use super::metric::{Metric, Missing};
use super::pause::Pause;
use super::reading::{Needs, Obstacle, Reading};
use super::settings::OnFail;
use super::words;

/// The verdict of a gate.
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

/// The facts beside the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Circumstances {
    /// Nothing is done at all.
    pub obstacle: Option<Obstacle>,
    pub pause: Pause,
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
            return match (worse.rolls_back && self.gate.on_fail == OnFail::RollBack, standing.pause) {
                (false, _) => (Verdict::Hold, format!("WORSE: {why}")),
                // It is said, and not done.
                (true, Pause::All) => (Verdict::RollBack, format!("{why}; {}", words::PAUSED_ALL)),
                (true, _) => (Verdict::RollBack, why),
            };
        }
        if standing.pause.is_on() {
            let (verdict, why) = self.decide(Circumstances { pause: Pause::No, ..standing }, readings);
            let could = verdict == Verdict::Advance || why == words::WAITS;
            return (Verdict::Hold, words::paused(standing.pause, could));
        }
        let first = [
            (standing.breaker_open, "the breaker is open: the service is not asked"),
            (standing.without_copies, "no request of this route may be copied: there is nothing to compare"),
        ];
        if let Some((_, why)) = first.into_iter().find(|(holds, _)| *holds) {
            return (Verdict::Hold, why.to_owned());
        }
        let proofs: Vec<&Reading> = proofs(readings).iter().map(Proof::nearer).collect();
        let unsure: Vec<&Reading> = proofs.iter().copied().filter(|reading| !reading.is_proved()).collect();
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
        (Verdict::Advance, words::sure(&proofs))
    }

    /// Comparisons of a shadow, or requests of a canary, below the floor of the file.
    fn too_few(&self) -> Option<String> {
        let (seen, least, what) = if self.scene.shadow {
            (whole(self.mismatches.seen.of), self.gate.min_compared, "comparisons")
        } else {
            (self.requests, self.gate.min_requests, "requests")
        };
        (seen < least).then(|| words::too_few(seen, least, what))
    }

    fn still_needs(&self, readings: &[Reading]) -> Needs {
        let proofs = proofs(readings);
        let missing = proofs.iter().filter(|proof| !proof.nearer().is_proved()).map(|proof| self.sooner(proof));
        let floor = if self.scene.shadow {
            Needs::Comparisons(self.gate.min_compared.saturating_sub(whole(self.mismatches.seen.of)))
        } else {
            Needs::Requests(self.gate.min_requests.saturating_sub(self.requests))
        };
        // Of those that take equally long, the first says why.
        let most = missing.fold(floor, |most, needs| if self.later(needs, most).is_gt() { needs } else { most });
        if matches!(most, Needs::Requests(0) | Needs::Comparisons(0)) { Needs::Nothing } else { most }
    }

    /// Which of two tests of the same is sure first, and what that takes.
    fn sooner(&self, proof: &Proof<'_>) -> Needs {
        let of = |reading: &Reading| match reading.needs {
            Needs::NoEnd if reading.has_an_old_limit() => Needs::OldLimit,
            Needs::NoEnd if matches!(reading.metric, Metric::Latency(_)) && !self.scene.paired => Needs::Unpaired,
            needs => needs,
        };
        let one = of(proof.reading);
        let Some(other) = proof.instead.map(of) else { return one };
        match (one, other) {
            (Needs::Unknown, known) | (known, Needs::Unknown) => known,
            // Neither ends: what is to be done about it says more than that nothing is.
            (Needs::OldLimit, Needs::NoEnd | Needs::KeptWaiting) | (Needs::NoEnd, Needs::NoEnd) => one,
            (Needs::NoEnd, Needs::KeptWaiting) => other,
            _ if self.later(one, other).is_gt() => other,
            _ => one,
        }
    }

    /// Which of two takes longer, by what came of each in this step.
    fn later(&self, one: Needs, other: Needs) -> std::cmp::Ordering {
        let compared = self.mismatches.seen.of;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let in_requests = |needs| match needs {
            Needs::Nothing => 0.0,
            // Less than anything that is known to be missing.
            Needs::Unknown => f64::MIN_POSITIVE,
            Needs::Requests(more) => more as f64,
            Needs::Comparisons(more) if self.scene.shadow => more as f64,
            Needs::Comparisons(more) if compared > 0.0 => more as f64 * (self.requests.max(1) as f64) / compared,
            Needs::Comparisons(_) => f64::MAX,
            Needs::NoEnd | Needs::OldLimit | Needs::Unpaired | Needs::KeptWaiting => f64::INFINITY,
        };
        in_requests(one).total_cmp(&in_requests(other))
    }

    /// Every metric that the step is judged by.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let (shadow, paired) = (self.scene.shadow, self.scene.paired);
        // Where there are copies, they or real answers prove the same: whichever is sure first, at half of the error each.
        let both = paired && !shadow;
        // A copy that fails is a mismatch; if more of those are allowed than of failures, their proof says less.
        let failures_by_copies = both && self.gate.max_mismatch <= self.gate.max_error_increase;
        let instead_of = |metric: Metric| match metric {
            Metric::Failures => failures_by_copies.then_some(Metric::Mismatches),
            Metric::Mismatches => failures_by_copies.then_some(Metric::Failures),
            Metric::Latency(quantile @ 0..2) => both.then_some(Metric::PairLatency(quantile)),
            Metric::PairLatency(quantile @ 0..2) => both.then_some(Metric::Latency(quantile)),
            _ => None,
        };
        let is_required = |metric: Metric| match metric {
            Metric::Failures => true,
            Metric::Mismatches => shadow || failures_by_copies,
            Metric::Latency(quantile) | Metric::PairLatency(quantile) => quantile < 2,
            Metric::Refusals | Metric::PairFailures => false,
        };
        let blank = |metric: Metric, margin: f64| {
            let instead = instead_of(metric);
            Reading {
                metric,
                monolith: Proportion::default(),
                service: Proportion::default(),
                margin,
                limits: self.seconds(metric),
                worse: 1.0,
                better: 1.0,
                worse_at: self.worse_at(metric),
                better_at: if instead.is_some() { 2.0 * self.better_at() } else { self.better_at() },
                required: is_required(metric),
                instead,
                rolls_back: !shadow,
                needs: Needs::Nothing,
                factor: 1.0,
            }
        };
        let mut readings = Vec::new();
        if !shadow {
            let two_sided = [
                (Metric::Failures, &self.failures, self.gate.max_error_increase),
                (Metric::Refusals, &self.refusals, self.gate.max_refusal_increase),
            ];
            let by_time = (0_u8..)
                .zip(&self.latency)
                .map(|(quantile, test)| (Metric::Latency(quantile), test, self.gate.max_latency_increase));
            for (metric, test, margin) in two_sided.into_iter().chain(by_time) {
                let blank = blank(metric, margin);
                readings.push(Reading {
                    monolith: test.monolith,
                    service: test.service,
                    worse: test.worse.total(),
                    better: test.better.total(),
                    needs: needed(test.needs(blank.better_at), Needs::Requests),
                    factor: test.factor(),
                    ..blank
                });
            }
        }
        if shadow || self.scene.compared {
            let blank = blank(Metric::Mismatches, self.gate.max_mismatch);
            readings.push(Reading {
                service: self.mismatches.seen,
                worse: self.mismatches.worse.total(),
                better: self.mismatches.better.total(),
                needs: needed(self.mismatches.needs(blank.better_at), Needs::Comparisons),
                ..blank
            });
        }
        if paired {
            let metrics =
                [Metric::PairFailures].into_iter().chain((0..).take(QUANTILES.len()).map(Metric::PairLatency));
            for (metric, test) in metrics.zip(&self.pairs) {
                #[expect(clippy::cast_precision_loss, reason = "requests of a step")]
                let (service, monolith, all) =
                    (test.seen.service_alone as f64, test.seen.monolith_alone as f64, test.seen.pairs as f64);
                let margin = if metric == Metric::PairFailures { 0.0 } else { self.gate.max_latency_increase };
                let blank = blank(metric, margin);
                let needs = match needed(test.needs(blank.better_at), Needs::Comparisons) {
                    Needs::NoEnd if test.is_kept_waiting() => Needs::KeptWaiting,
                    needs => needs,
                };
                readings.push(Reading {
                    monolith: Proportion::new(monolith, all),
                    service: Proportion::new(service, all),
                    worse: test.worse.total(),
                    better: test.better.total(),
                    rolls_back: false,
                    needs,
                    ..blank
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

fn needed(missing: Missing, of: fn(u64) -> Needs) -> Needs {
    match missing {
        Missing::Nothing => Needs::Nothing,
        Missing::Unknown => Needs::Unknown,
        Missing::More(more) => of(whole(more)),
        Missing::NoEnd => Needs::NoEnd,
    }
}

/// One thing that has to be proved, by one test or by another.
struct Proof<'a> {
    reading: &'a Reading,
    instead: Option<&'a Reading>,
}

impl<'a> Proof<'a> {
    /// The test that is sure, or nearer to it.
    fn nearer(&self) -> &'a Reading {
        let progress = |reading: &Reading| reading.better.max(f64::MIN_POSITIVE).ln() / reading.better_at.ln();
        self.instead.filter(|instead| progress(instead) > progress(self.reading)).unwrap_or(self.reading)
    }
}

/// All that a step has to prove.
fn proofs(readings: &[Reading]) -> Vec<Proof<'_>> {
    let mut proofs: Vec<Proof<'_>> = Vec::new();
    for reading in readings.iter().filter(|reading| reading.required) {
        let stands = |metric: Metric| readings.iter().find(|other| other.metric == metric && other.required);
        let of_earlier = |proof: &Proof<'_>| proof.instead.is_some_and(|instead| instead.metric == reading.metric);
        if !proofs.iter().any(of_earlier) {
            proofs.push(Proof { reading, instead: reading.instead.and_then(stands) });
        }
    }
    proofs
}
