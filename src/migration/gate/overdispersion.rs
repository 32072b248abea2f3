//! How far the clients are from being independent witnesses: one looping client is not a thousand of them.

/// Clients are counted in this many groups: their bucket modulo 64.
pub const GROUPS: usize = 64;

/// The requests of each group, and how many of them had the property that a test counts.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(from = "GroupLists", into = "GroupLists")]
pub struct Groups {
    asked: [f64; GROUPS],
    counted: [f64; GROUPS],
}

/// The groups as they are handed from one leader of a fleet to the next.
#[derive(serde::Serialize, serde::Deserialize)]
struct GroupLists {
    asked: Vec<f64>,
    counted: Vec<f64>,
}

impl From<Groups> for GroupLists {
    fn from(groups: Groups) -> Self {
        Self { asked: groups.asked.to_vec(), counted: groups.counted.to_vec() }
    }
}

impl From<GroupLists> for Groups {
    fn from(lists: GroupLists) -> Self {
        let array = |list: Vec<f64>| std::array::from_fn(|group| list.get(group).copied().unwrap_or_default());
        Self { asked: array(lists.asked), counted: array(lists.counted) }
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self { asked: [0.0; GROUPS], counted: [0.0; GROUPS] }
    }
}

impl Groups {
    pub fn add(&mut self, asked: impl IntoIterator<Item = u32>, counted: impl IntoIterator<Item = u32>) {
        for (sum, more) in self.asked.iter_mut().zip(asked) {
            *sum += f64::from(more);
        }
        for (sum, more) in self.counted.iter_mut().zip(counted) {
            *sum += f64::from(more);
        }
    }

    /// A move begins a new step, but the clients are the same: a quarter of what was seen stays.
    pub fn fade(&mut self) {
        for sum in self.asked.iter_mut().chain(&mut self.counted) {
            *sum /= 4.0;
        }
    }

    /// χ² by its degrees of freedom, at least 1. Below 1.5 it counts as chance, as does fewer than two events.
    #[must_use]
    pub fn factor(&self) -> f64 {
        let (asked, counted) = (self.asked.iter().sum::<f64>(), self.counted.iter().sum::<f64>());
        if counted < 2.0 || asked <= 0.0 {
            return 1.0;
        }
        let (mut chi_squared, mut groups) = (0.0, 0.0);
        for (asked_here, counted_here) in self.asked.iter().zip(&self.counted) {
            if *asked_here > 0.0 {
                let expected = counted * asked_here / asked;
                chi_squared += (counted_here - expected).powi(2) / expected;
                groups += 1.0;
            }
        }
        let factor = chi_squared / f64::max(groups - 1.0, 1.0);
        if factor < 1.5 { 1.0 } else { factor }
    }
}

/// The factor before a tick and with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dispersion {
    pub before: f64,
    pub with: f64,
}

impl Dispersion {
    /// Independent witnesses.
    pub const NONE: Self = Self { before: 1.0, with: 1.0 };

    /// Losses are divided by what was known before the tick, gains by the larger of both: so the expectation stays below 1.
    #[must_use]
    pub fn temper(self, log_e: f64) -> f64 {
        if log_e > 0.0 { log_e / self.before.max(self.with) } else { log_e / self.before }
    }
}
