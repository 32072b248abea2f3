//! What every gate says in two words, for readers of very many of them.

use super::course::State;
use crate::migration::gate::Verdict;

/// State and verdict of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateSaid {
    pub state: &'static str,
    pub verdict: &'static str,
}

/// How a gate asks for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// It took the route back, or would.
    Urgently,
    /// It waits for an approval, or is paused.
    Sometime,
}

impl GateSaid {
    /// Whether a person is asked for something, or would take the route back.
    pub fn asks(self) -> Option<Asks> {
        let is = |known: State| self.state == known.as_str();
        if is(State::Latched) || self.verdict == Verdict::RollBack.as_str() {
            return Some(Asks::Urgently);
        }
        (is(State::Waiting) || is(State::Paused { all: false })).then_some(Asks::Sometime)
    }
}
