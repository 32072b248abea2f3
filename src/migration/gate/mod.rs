//! Judges whether a route may go on to its service, by what was counted on both sides: a pure rule, exact at every look.
//!
//! Counts of a [`Tick`] become e-values ([`evalue`]), those become evidence over time ([`wealth`]), and a [`Judge`] says
//! what it proves. Whole roll-outs are judged wrongly in at most 1 − `confidence` of the cases, however often the gate looks.

pub mod evalue;
mod evidence;
mod handed_on;
mod judge;
mod metric;
mod overdispersion;
mod pairs;
mod pause;
mod reading;
mod settings;
mod verdict;
pub mod wealth;
pub mod words;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub use tests::properties;

pub use evalue::{Direction, Proportion};
pub use evidence::{Compared, LATE_BUCKETS, QUANTILES, SideCounts, Tick, late_bound, late_bucket};
pub use handed_on::HandedOn;
pub use judge::{Judge, QuantileLimit, Scene};
pub use metric::Metric;
pub use overdispersion::{Dispersion, GROUPS, Groups};
pub use pairs::{Discordant, PairTest};
pub use pause::Pause;
pub use reading::{Needs, Obstacle, Rates, Reading};
pub use settings::{Gate, OnFail};
pub use verdict::{Circumstances, Ruling, Verdict};
