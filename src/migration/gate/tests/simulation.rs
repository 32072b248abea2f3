//! A thousand whole roll-outs of a good service and of a bad one, judged by failures. All nine cases, with latency, are
//! the bench `gate`.

use std::sync::Arc;

use crate::migration::gate::evalue::Proportion;
use crate::migration::gate::metric::{Against, Comparison, Metric, Seen};
use crate::migration::gate::{Gate, Judge, Scene};

/// xorshift64*, from Marsaglia and Vigna: a seeded generator, so that a failure can be repeated.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        {
            bits as f64 / (1_u64 << 53) as f64
        }
    }

    /// How many of `n` happen, by the distances between them, each told to `happened`.
    fn binomial(&mut self, n: u32, p: f64, mut happened: impl FnMut(u32)) {
        let ln = (1.0 - p).ln();
        let mut at = -1.0;
        loop {
            at += 1.0 + (self.share().max(1e-300).ln() / ln).floor();
            if at >= f64::from(n) {
                return;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below n")]
            happened(at as u32);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Promoted,
    RolledBack,
    Holds,
}

/// 100 requests a second in ticks of 10 s, five steps, at most four hours.
fn roll_out(random: &mut Random, monolith: f64, service: f64) -> (End, u32) {
    let gate = Arc::new(Gate::default());
    let judge = Judge::new(&gate, Scene { shadow: false, compared: false, paired: false }, 0);
    let (worse_at, better_at) = (judge.worse_at(Metric::Failures), judge.better_at());
    let mut test = Comparison::new(Against::Margin(gate.max_error_increase), 0.5);
    let (mut step, mut requests) = (0, 0.0);
    for tick in 1..=4 * 360 {
        let ns = 1000 * u32::from(gate.weight_of(step).buckets()) / 10_000;
        let mut seen = [Proportion::default(); 2];
        for (side, (n, p)) in [(1000 - ns, monolith), (ns, service)].into_iter().enumerate() {
            let mut failed = [0_u32; 64];
            // A request belongs to the group of its number.
            random.binomial(n, p, |request| failed[(request % 64) as usize] += 1);
            let asked = (0..64).map(|group| n / 64 + u32::from(group < n % 64));
            test.groups(side).add(asked, failed);
            seen[side] = Proportion::new(f64::from(failed.iter().sum::<u32>()), f64::from(n));
        }
        requests += seen[1].of;
        test.tick(Seen { monolith: seen[0], service_worse: seen[1], service_better: seen[1] });
        if test.worse.total() >= worse_at {
            return (End::RolledBack, tick);
        }
        if tick % 6 == 0 && test.better.total() >= better_at && requests >= 100.0 {
            step += 1;
            requests = 0.0;
            test.next_step();
            if step == gate.steps.len() {
                return (End::Promoted, tick);
            }
        }
    }
    (End::Holds, 4 * 360)
}

fn thousand(seed: u64, monolith: f64, service: f64) -> (usize, usize, u32) {
    let mut random = Random(seed);
    let mut ends: Vec<(End, u32)> = (0..1000).map(|_| roll_out(&mut random, monolith, service)).collect();
    ends.sort_by_key(|(_, ticks)| *ticks);
    let share = |end: &End| ends.iter().filter(|(found, _)| found == end).count();
    (share(&End::Promoted), share(&End::RolledBack), ends[500].1)
}

#[test]
fn of_a_thousand_good_services_at_most_twenty_are_rolled_back_and_the_others_arrive() {
    let (promoted, rolled_back, median) = thousand(19, 0.002, 0.002);
    assert!(rolled_back <= 20, "{rolled_back} rolled back");
    assert!(promoted >= 980, "{promoted} promoted");
    // gate.md 3: 36 minutes.
    assert!((33 * 6..=39 * 6).contains(&median), "median of {median} ticks");
}

#[test]
fn of_a_thousand_bad_services_at_most_twenty_are_promoted_and_the_others_are_rolled_back_within_minutes() {
    let (promoted, rolled_back, median) = thousand(20, 0.002, 0.052);
    assert!(promoted <= 20, "{promoted} promoted");
    assert!(rolled_back >= 980, "{rolled_back} rolled back");
    assert!(median <= 18, "median of {median} ticks");
}
