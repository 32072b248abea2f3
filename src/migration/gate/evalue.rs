//! The e-value of one tick: exact for two sides and a margin, for any number of requests on either side.
//!
//! An e-value is a number of at least 0 whose expectation is at most 1 as long as the null hypothesis holds. Its source is
//! Turner, Ly and Grünwald, *Generic E-variables for exact sequential k-sample tests* (JSPI 230, 2024), with a margin between
//! the sides.

/// The most bets that one test spreads over.
pub const MOST_BETS: usize = 7;

/// The number of a side's requests with the property that a test counts.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Proportion {
    pub counted: f64,
    pub of: f64,
}

impl Proportion {
    #[must_use]
    pub const fn new(counted: f64, of: f64) -> Self {
        Self { counted, of }
    }

    /// 0.0 to 1.0; 0 where there was nothing to count.
    #[must_use]
    pub fn rate(self) -> f64 {
        if self.of > 0.0 { self.counted / self.of } else { 0.0 }
    }

    pub(super) fn add(&mut self, more: Self) {
        self.counted += more.counted;
        self.of += more.of;
    }
}

/// Which hypothesis a test collects evidence against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Against "the service is within the margin": it is worse.
    Worse,
    /// Against "the service is worse than the margin allows": it is good enough.
    Better,
}

impl Direction {
    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
        }
    }
}

/// Rates of the service that a test bets on, with the share of the wealth that each gets. The weights sum to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bets {
    pub rates: [f64; MOST_BETS],
    pub weights: &'static [f64],
}

/// The least and the largest rate that is bet on.
const LEAST_RATE: f64 = 1e-7;
const LARGEST_RATE: f64 = 1.0 - 1e-6;

impl Bets {
    fn of(rates: &[f64], weights: &'static [f64], least: f64) -> Self {
        let mut padded = [0.0; MOST_BETS];
        for (slot, rate) in padded.iter_mut().zip(rates) {
            *slot = rate.clamp(least, LARGEST_RATE);
        }
        Self { rates: padded, weights }
    }

    /// Rates beyond or within `margin`, given the predicted rate `monolith`. The small steps matter where there are many
    /// requests: without them a service slightly beyond the margin is held for ever.
    #[must_use]
    pub fn by_margin(direction: Direction, monolith: f64, margin: f64) -> Self {
        const WORSE: [f64; 7] = [0.05, 0.10, 0.25, 0.25, 0.15, 0.10, 0.10];
        const BETTER: [f64; 6] = [0.05, 0.65, 0.12, 0.09, 0.05, 0.04];
        match direction {
            Direction::Worse => {
                let unit = margin.max(0.002);
                let beyond = [unit / 16.0, unit / 4.0, unit, 4.0 * unit, 16.0 * unit, 0.3, 0.9];
                Self::of(&beyond.map(|step| monolith + margin + step), &WORSE, 1e-6)
            }
            Direction::Better => {
                let within = [0.0, 0.3, 0.6, 0.85, 0.95].map(|part| monolith + part * margin);
                let [same, third, more, most, nearly] = within;
                Self::of(&[0.5 * monolith, same, third, more, most, nearly], &BETTER, LEAST_RATE)
            }
        }
    }

    /// Odds above or below those of the monolith, for tests without a margin.
    #[must_use]
    pub fn by_odds(direction: Direction, monolith: f64) -> Self {
        const WORSE: [f64; 6] = [0.08, 0.25, 0.25, 0.2, 0.12, 0.1];
        const BETTER: [f64; 4] = [0.1, 0.3, 0.4, 0.2];
        let odds = monolith / (1.0 - monolith);
        let at = |factor: f64| odds * factor / (1.0 + odds * factor);
        match direction {
            Direction::Worse => Self::of(&[1.05, 1.2, 1.5, 2.2, 4.0, 16.0].map(at), &WORSE, LEAST_RATE),
            Direction::Better => Self::of(&[0.95, 0.85, 0.7, 0.5].map(at), &BETTER, LEAST_RATE),
        }
    }

    /// Rates of one sample beyond or within `limit`.
    #[must_use]
    pub fn by_limit(direction: Direction, limit: f64) -> Self {
        const WORSE: [f64; 6] = [0.1, 0.2, 0.25, 0.2, 0.15, 0.1];
        const BETTER: [f64; 4] = [0.6, 0.2, 0.15, 0.05];
        match direction {
            Direction::Worse => {
                let beyond = [1.2, 1.5, 3.0, 10.0, 30.0].map(|factor| (factor * limit).min(0.95));
                // Half is no bet on "worse" where the limit is as much itself.
                let half = if limit < 0.5 { 0.5 } else { 0.95 };
                let mut rates = [half; 6];
                rates[..5].copy_from_slice(&beyond);
                Self::of(&rates, &WORSE, LEAST_RATE)
            }
            Direction::Better => Self::of(&[0.02, 0.25, 0.5, 0.85].map(|part| part * limit), &BETTER, LEAST_RATE),
        }
    }
}

/// The point (a₀, a₀ + margin) of the hypothesis' boundary that is nearest to the bet (a, b): the least
/// `n_m · KL(a‖a₀) + n_s · KL(b‖a₀ + margin)`. `monolith` and `service` are numbers of requests.
#[must_use]
#[expect(clippy::many_single_char_names, reason = "the names of the formula")]
pub fn project(monolith: f64, service: f64, a: f64, b: f64, margin: f64) -> (f64, f64) {
    const EDGE: f64 = 1e-12;
    if margin <= 0.0 {
        let pooled = ((monolith * a + service * b) / (monolith + service)).clamp(EDGE, 1.0 - EDGE);
        return (pooled, pooled);
    }
    // The slope of the sum changes its sign between a and b − margin, and only there.
    let (mut low, mut high) = (a.min(b - margin).max(1e-15), a.max(b - margin).min(1.0 - margin - 1e-15));
    let mut x = (monolith * a + service * (b - margin).max(0.0)) / (monolith + service);
    for _ in 0..60 {
        if !(low..=high).contains(&x) {
            x = f64::midpoint(low, high);
        }
        // The slope, without its denominators: a polynomial of the third degree.
        let (m, m_by_x) = (monolith * (a - x) * (x + margin) * (1.0 - x - margin), {
            let spread = (x + margin) * (1.0 - x - margin);
            monolith * ((a - x) * (1.0 - 2.0 * (x + margin)) - spread)
        });
        let (s, s_by_x) = (service * (b - x - margin) * x * (1.0 - x), {
            service * ((b - x - margin) * (1.0 - 2.0 * x) - x * (1.0 - x))
        });
        let (value, slope) = (m + s, m_by_x + s_by_x);
        if value > 0.0 {
            low = x;
        } else {
            high = x;
        }
        let next = x - value / slope;
        if !(low..=high).contains(&next) {
            x = f64::midpoint(low, high);
            continue;
        }
        // Newton's next error is about the square of this one.
        let done = (next - x).abs() <= 1e-15 + 1e-9 * x;
        x = next;
        if done {
            break;
        }
    }
    (x.clamp(EDGE, 1.0 - EDGE), (x + margin).clamp(EDGE, 1.0 - EDGE))
}

/// The logarithm of the e-value of one tick for the bet (a, b): against "service ≤ monolith + margin" where b lies above
/// a + margin, against "service ≥ monolith + margin" where it lies below. 0 where a side had no request.
#[must_use]
pub fn log_e(monolith: Proportion, service: Proportion, a: f64, b: f64, margin: f64) -> f64 {
    if monolith.of <= 0.0 || service.of <= 0.0 {
        return 0.0;
    }
    let (a0, b0) = project(monolith.of, service.of, a, b, margin);
    part(monolith, a, a0) + part(service, b, b0)
}

/// The logarithm of the e-value of one sample, against the rate `limit`.
#[must_use]
pub fn log_e_one(sample: Proportion, bet: f64, limit: f64) -> f64 {
    if sample.of <= 0.0 { 0.0 } else { part(sample, bet, limit) }
}

/// Of one side: the logarithm of how much likelier its counts are under the bet than under the null.
fn part(side: Proportion, bet: f64, null: f64) -> f64 {
    side.counted * (bet / null).ln() + (side.of - side.counted) * ((1.0 - bet) / (1.0 - null)).ln()
}
