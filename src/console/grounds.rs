//! The figures of a route that a word of the board is found by.

use crate::gate::GateSaid;

/// What the word of a route rests on, each read when it is asked for.
pub trait Grounds {
    fn is_cut_off(&self) -> bool;
    fn gate(&self) -> Option<GateSaid>;
    fn stage(&self) -> &'static str;
    fn mismatch_rate(&self) -> Option<f64>;
    fn copies(&self) -> u64;
    fn fallbacks(&self) -> u64;
    /// Of the service and of the monolith; `None`: it was not asked.
    fn error_rates(&self) -> (Option<f64>, Option<f64>);
    /// Of all sides in the window.
    fn requests(&self) -> u64;
    /// Since the program began.
    fn monolith_answered(&self) -> u64;
    /// The same of the service.
    fn service_answered(&self) -> u64;
}
