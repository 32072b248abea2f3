//! About how many different things there were, in 64 bytes.

/// Its standard error is 1.04 / √64 = 13 %.
pub const REGISTERS: usize = 64;

/// Largest rank of a hash by register (Flajolet et al. 2007, "`HyperLogLog`").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sketch([u8; REGISTERS]);

impl Default for Sketch {
    fn default() -> Self {
        Self([0; REGISTERS])
    }
}

impl Sketch {
    /// Takes a hash. `true`: it was unlike those before.
    pub fn see(&mut self, hash: u64) -> bool {
        let register = &mut self.0[(hash % REGISTERS as u64) as usize];
        let rank = u8::try_from((hash >> 6).trailing_zeros() + 1).unwrap_or(u8::MAX).min(58);
        let is_new = rank > *register;
        if is_new {
            *register = rank;
        }
        is_new
    }

    pub fn merge(&mut self, other: &Self) {
        for (own, theirs) in self.0.iter_mut().zip(other.0) {
            *own = (*own).max(theirs);
        }
    }

    /// About how many; at least 1.
    #[must_use]
    pub fn kinds(&self) -> u64 {
        let m = REGISTERS as f64;
        let sum: f64 = self.0.iter().map(|rank| f64::powi(2.0, -i32::from(*rank))).sum();
        let raw = 0.709 * m * m / sum;
        let empty = self.0.iter().map(|rank| usize::from(*rank == 0)).sum::<usize>();
        let estimate = if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw };
        (estimate.round() as u64).max(1)
    }

    #[must_use]
    pub const fn registers(&self) -> &[u8; REGISTERS] {
        &self.0
    }

    pub fn set_registers(&mut self, registers: &[u8]) {
        for (own, theirs) in self.0.iter_mut().zip(registers) {
            *own = (*theirs).min(58);
        }
    }
}
