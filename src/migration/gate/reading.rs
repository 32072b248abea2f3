//! The basis of a verdict: each metric as it stands, what is still missing, and what keeps the gate from acting.

use super::evalue::Proportion;
use super::evidence::QUANTILES;
use super::judge::is_left_behind;
use super::metric::Metric;

/// A reason that keeps a gate from acting, whatever the evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Obstacle {
    /// The big red button is on.
    MonolithOnly,
    /// A move could not be written down.
    Store,
    /// The file on the disk is refused: what it wants is not known.
    BrokenFile,
    /// Faults are injected on purpose.
    Fault,
    /// The others cannot be heard, and may lead.
    FleetAway,
    /// The replicas that are heard do not carry two thirds of the traffic.
    Unheard { heard: u16, of: u16 },
}

/// The evidence that is still missing for a proof.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Needs {
    Nothing,
    /// The number of further requests of the service.
    Requests(u64),
    /// The number of further comparisons.
    Comparisons(u64),
    /// Too little was counted to say how much is missing.
    Unknown,
    /// The evidence does not grow: the service is at the margin.
    NoEnd,
    /// The evidence does not grow, since a limit of time that was set when the step settled tells nothing by now.
    OldLimit,
    /// The evidence of times does not grow: the service is at the margin, or its times spread so far that the margin is lost in
    /// them. Copies would tell, since both sides answer the same request.
    Unpaired,
    /// The evidence of pairs does not grow, since copies waited for a processor, or left in bursts: that hides what the service takes.
    KeptWaiting,
}

/// Rates per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Requests of the service.
    pub requests: f64,
    pub comparisons: f64,
}

/// One metric as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    pub metric: Metric,
    pub monolith: Proportion,
    pub service: Proportion,
    /// The allowed difference: points for failures, refusals and mismatches, a share of the monolith's time for latency.
    pub margin: f64,
    /// For latency: the monolith's limit and the service's, in seconds.
    pub limits: Option<(f64, f64)>,
    /// Evidence.
    pub worse: f64,
    pub better: f64,
    /// The thresholds: of `worse` for a roll-back, of `better` for an advance.
    pub worse_at: f64,
    pub better_at: f64,
    /// The step needs its proof to advance, or that of `instead`.
    pub required: bool,
    /// Another metric that is a test of the same: copies, or real answers. Each has half of the error.
    pub instead: Option<Metric>,
    /// `worse` rolls the route back; else it only holds.
    pub rolls_back: bool,
    pub needs: Needs,
    /// How far the clients are from independent witnesses; 1: they are.
    pub factor: f64,
}

impl Reading {
    #[must_use]
    pub fn is_worse(&self) -> bool {
        self.worse >= self.worse_at
    }

    /// The monolith's own times left the limit that the step compares by.
    #[must_use]
    pub fn has_an_old_limit(&self) -> bool {
        let Metric::Latency(quantile) = self.metric else { return false };
        let Some(quantile) = QUANTILES.get(usize::from(quantile)) else { return false };
        self.monolith.of > 0.0 && is_left_behind(*quantile, self.monolith.rate())
    }

    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.better >= self.better_at
    }
}
