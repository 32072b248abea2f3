//! A gate's state in two words, for callers that read thousands of them.

use super::course::State;

/// State and verdict of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateSaid {
    pub state: &'static str,
    pub verdict: &'static str,
    /// Sure that the service is worse than allowed, whether or not the gate may take the route back.
    pub worse: bool,
}

/// How a gate asks for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// It took the route back, or would if it might.
    Urgently,
    /// It waits for an approval, or is paused.
    Sometime,
}

impl GateSaid {
    /// Whether a person is asked for something, or would take the route back.
    pub fn asks(self) -> Option<Asks> {
        let is = |known: State| self.state == known.as_str();
        if is(State::Latched) || self.worse {
            return Some(Asks::Urgently);
        }
        (is(State::Waiting) || is(State::Paused { all: false })).then_some(Asks::Sometime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::gate::Verdict;

    #[test]
    fn a_gate_that_is_sure_of_the_worst_asks_urgently_whatever_its_file_lets_it_do() {
        for (state, worse, asks) in [
            (State::Hold, true, Some(Asks::Urgently)),
            (State::Paused { all: true }, true, Some(Asks::Urgently)),
            (State::Latched, false, Some(Asks::Urgently)),
            (State::Waiting, false, Some(Asks::Sometime)),
            (State::Hold, false, None),
        ] {
            let said = GateSaid { state: state.as_str(), verdict: Verdict::Hold.as_str(), worse };
            assert_eq!(said.asks(), asks, "{said:?}");
        }
    }
}
