//! `[gate]` and `[routes.NAME.gate]` as written.

use std::time::Duration;

use super::list::Item;
use super::table::table;
use super::{Count, Increase, OnFail, Percent};

table! {
    /// When a route moves by itself. Only a table of the route's own gives it a gate; `[gate]` has defaults for all.
    pub struct Gate {
        /// Weights of the canary, rising. Default: `["1%", "5%", "25%", "50%", "100%"]`.
        steps: Vec<Item<Percent>>,
        /// Between two looks whether to advance. Default: `"1m"`.
        interval: Duration,
        /// Requests of the service in a step before it may advance. Default: 100.
        min_requests: Count,
        /// How sure a verdict has to be. Default: 0.98.
        confidence: f64,
        /// Failures are too many when their rate is this many points above the monolith's. Default: `"0.5%"`.
        max_error_increase: Percent,
        /// The same for statuses of 400 to 499. Default: `"1%"`.
        max_refusal_increase: Percent,
        /// Slower than the monolith by this much is too slow. Default: `"20%"`.
        max_latency_increase: Increase,
        /// More mismatches of copies are too many. Default: `"0.1%"`.
        max_mismatch: Percent,
        /// Comparisons before a shadow may advance. Default: 1000.
        min_compared: Count,
        /// After a move the latency is not judged for this long. Default: `"3m"`.
        settle: Duration,
        /// The share that stays with the monolith in the step of 100 % until it is sure. Default: `"1%"`.
        control: Percent,
        /// Requests that both sides answered count as proof. Default: true.
        pairs: bool,
        /// Stages into which only a person lets the route. Default: `["migrated"]`.
        approve: Vec<Item<String>>,
        /// The act on a service that is surely worse. Default: `"roll-back"`.
        on_fail: OnFail,
        /// Free text: another one begins the evidence anew and unlatches. CI writes the version here. Default: `""`.
        version: String,
    }
}
