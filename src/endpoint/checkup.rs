//! The verdict of a row of active checks about an endpoint.

use super::Health;

/// The verdict over the checks so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not checked yet.
    Unknown,
    Well,
    Ill,
}

/// Counts checks of one outcome in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    verdict: Verdict,
    /// Checks in a row that contradict the verdict.
    against: u32,
}

impl Default for Checkup {
    fn default() -> Self {
        Self { verdict: Verdict::Unknown, against: 0 }
    }
}

impl Checkup {
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The last check agreed with the verdict.
    pub fn is_settled(&self) -> bool {
        self.against == 0
    }

    /// Notes one check; true when the verdict changed. The first check decides alone: nothing is known that it could contradict.
    pub fn note(&mut self, answered: bool, rule: &Health) -> bool {
        let (says, needed) = if answered { (Verdict::Well, rule.healthy) } else { (Verdict::Ill, rule.unhealthy) };
        if says == self.verdict {
            self.against = 0;
            return false;
        }
        self.against += 1;
        if self.verdict != Verdict::Unknown && self.against < needed {
            return false;
        }
        *self = Self { verdict: says, against: 0 };
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
                let expected = if step[1] == b'W' { Verdict::Well } else { Verdict::Ill };
                assert_eq!(checkup.verdict(), expected, "in `{row}`");
            }
        }
    }
}
