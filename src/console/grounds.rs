//! The figures of a route that a word of the board is found by.

use crate::admin::Stood;
use crate::compare::interval;
use crate::gate::GateSaid;

/// How much more a service may fail where no gate judges.
pub const NO_WORSE: f64 = 0.005;

/// Copies may differ so rarely: a gate of default settings lets them pass.
pub const AGREEMENT: f64 = 0.001;

/// Fewer comparisons say little; a gate of default settings asks for as many.
pub const ENOUGH_COMPARED: u64 = 1000;

/// The answers of one side in the window.
#[derive(Debug, Clone, Copy)]
pub struct SideCount {
    pub is_monolith: bool,
    pub requests: u64,
    pub errors: u64,
}

/// Fewer errors may be one bad moment.
const FEWEST_ERRORS: u64 = 5;

/// Requests and errors of the monolith, which may be several variants.
pub fn of_monolith(counts: &[SideCount]) -> (u64, u64) {
    let monolith = counts.iter().filter(|side| side.is_monolith);
    monolith.fold((0, 0), |sum, side| (sum.0 + side.requests, sum.1 + side.errors))
}

/// The error rate above which a side fails: `NO_WORSE` above the highest that the monolith's own may be.
pub fn bearable(counts: &[SideCount]) -> f64 {
    let (requests, errors) = of_monolith(counts);
    NO_WORSE + if requests == 0 { 0.0 } else { interval(errors, requests).1 }
}

impl SideCount {
    /// Its requests are enough to say that more of them fail than is bearable.
    pub fn fails(&self, bearable: f64) -> bool {
        !self.is_monolith && self.errors >= FEWEST_ERRORS && interval(self.errors, self.requests).0 > bearable
    }
}

/// The figures behind the word of a route, each read when it is asked for.
pub trait Grounds {
    fn is_cut_off(&self) -> bool;
    fn gate(&self) -> Option<GateSaid>;
    fn stage(&self) -> &'static str;
    fn mismatch_rate(&self) -> Option<f64>;
    /// Comparisons that this is the rate of.
    fn compared(&self) -> u64;
    fn copies(&self) -> u64;
    fn fallbacks(&self) -> u64;
    /// Of the service and of the monolith; `None`: it was not asked.
    fn error_rates(&self) -> (Option<f64>, Option<f64>);
    fn side_counts(&self) -> Vec<SideCount>;
    /// Of all sides in the window.
    fn requests(&self) -> u64;
    /// Answers of the service since the program began.
    fn service_answered(&self) -> u64;
    /// In its stage, and without the monolith.
    fn stood(&self) -> Stood;

    /// A side that clients are left to, because no gate would take it back, fails clearly more often than the monolith.
    fn is_failing(&self) -> bool {
        if !matches!(self.stage(), "split" | "migrated" | "retired") {
            return false;
        }
        let counts = self.side_counts();
        let bearable = bearable(&counts);
        counts.iter().any(|side| side.fails(bearable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_fails_where_its_requests_are_enough_to_say_so() {
        for (service, monolith, fails) in [
            ((854, 854), (0, 0), true),
            ((20, 20), (0, 0), true),
            ((20, 4), (0, 0), false),
            ((900, 5), (0, 0), false),
            ((900, 12), (0, 0), true),
            ((900, 12), (900, 9), false),
            ((900, 90), (900, 9), true),
            ((900, 90), (10, 1), false),
            ((900, 900), (10, 1), true),
        ] {
            let side = |is_monolith, (requests, errors)| SideCount { is_monolith, requests, errors };
            let counts = [side(true, monolith), side(false, service)];
            assert_eq!(counts[1].fails(bearable(&counts)), fails, "{service:?} {monolith:?}");
            assert!(!counts[0].fails(0.0), "the monolith is no worse than itself");
        }
    }
}
