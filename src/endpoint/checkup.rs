//! The verdict of a row of active checks about an endpoint.

use super::Health;

/// The result of the checks so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// Not checked yet.
    Unknown,
    Well,
    Ill,
}

/// Counts checks of one outcome in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    state: CheckState,
    /// Checks in a row that contradict the verdict.
    against: u32,
}

impl Default for Checkup {
    fn default() -> Self {
        Self { state: CheckState::Unknown, against: 0 }
    }
}

impl Checkup {
    pub fn state(&self) -> CheckState {
        self.state
    }

    /// The last check agreed with the verdict.
    pub fn is_settled(&self) -> bool {
        self.against == 0
    }

    /// Notes one check; true when the verdict changed. The first check decides alone: nothing is known that it could contradict.
    pub fn note(&mut self, answered: bool, rule: &Health) -> bool {
        let (says, needed) =
            if answered { (CheckState::Well, rule.healthy) } else { (CheckState::Ill, rule.unhealthy) };
        if says == self.state {
            self.against = 0;
            return false;
        }
        self.against += 1;
        if self.state != CheckState::Unknown && self.against < needed {
            return false;
        }
        *self = Self { state: says, against: 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::HealthCheck;
    use super::*;

    #[test]
    fn a_verdict_changes_after_its_number_of_checks_in_a_row() {
        let rule = Health {
            check: HealthCheck::Connect,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            healthy: 2,
            unhealthy: 3,
        };
        // `+` and `-` are checks; the letter is the verdict after it.
        for row in ["+W", "-I", "+W-W-W-I", "+W-W-W+W-W-W-I", "-I+I+W", "-I+I-I+I+W", "-I-I-I+I+W-W-W-I"] {
            let mut checkup = Checkup::default();
            for step in row.as_bytes().chunks(2) {
                checkup.note(step[0] == b'+', &rule);
                let expected = if step[1] == b'W' { CheckState::Well } else { CheckState::Ill };
                assert_eq!(checkup.state(), expected, "in `{row}`");
            }
        }
    }
}
