//! Whole roll-outs under the rule of the gate, a thousand of each kind, as `gate.md` simulates them.
//!
//! `cargo bench --bench gate` prints the table (about ten minutes); `-- 100` takes a hundred of each, `-- 1000 null` one row. Every roll-out is
//! judged by failures, refusals and latency together, as a canary without copies is.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a simulation"
)]

use std::sync::Arc;
use std::time::Instant;

use multilith::migration::gate::{Circumstances, GROUPS, Gate, Judge, Scene, SideCounts, Tick, Verdict, late_bucket};

/// The seed: a table can be made again.
const SEED: u64 = 19;
const TICK: u32 = 10;

/// What is true of one kind of service.
#[derive(Clone, Copy)]
struct Truth {
    name: &'static str,
    /// Share of failures.
    monolith: f64,
    service: f64,
    /// The service's time by the monolith's.
    slower: f64,
    /// So many times slower at first, with 60 s to fall to a third.
    cold: f64,
    /// Both fail, and are slow, a tenth of the time.
    outages: bool,
    /// Whether both are ten times slower, so many minutes after a move.
    slow: fn(u32) -> bool,
    /// Failures come in rows of so many by one client.
    rows: u32,
    per_second: u32,
    hours: u32,
    /// What must not happen in more than 2 %.
    wrong: Verdict,
}

const NULL: Truth = Truth {
    name: "null",
    monolith: 0.002,
    service: 0.002,
    slower: 1.0,
    cold: 1.0,
    outages: false,
    slow: |_| false,
    rows: 1,
    per_second: 100,
    hours: 6,
    wrong: Verdict::RollBack,
};

const TRUTHS: [Truth; 13] = [
    NULL,
    Truth { name: "+5 %", service: 0.052, wrong: Verdict::Advance, ..NULL },
    Truth { name: "+1 %", service: 0.012, wrong: Verdict::Advance, ..NULL },
    Truth { name: "+0.3 % (within the margin)", service: 0.005, ..NULL },
    Truth { name: "latency +20 % (the margin)", slower: 1.2, wrong: Verdict::Advance, ..NULL },
    Truth { name: "latency +50 %", slower: 1.5, wrong: Verdict::Advance, ..NULL },
    Truth { name: "cold start x2", cold: 2.0, ..NULL },
    Truth { name: "shared outages", outages: true, ..NULL },
    Truth { name: "limits from a bad moment", slow: |minutes| minutes < 4, hours: 12, ..NULL },
    Truth {
        name: "limits from a bad moment, latency +20 %",
        slow: |minutes| minutes < 4,
        slower: 1.2,
        wrong: Verdict::Advance,
        ..NULL
    },
    Truth {
        name: "times that change every hour, latency +20 %",
        slow: |minutes| minutes / 60 % 2 == 0,
        slower: 1.2,
        wrong: Verdict::Advance,
        ..NULL
    },
    Truth { name: "one client's retries, rows of 10", rows: 10, hours: 3, ..NULL },
    Truth { name: "+5 %, rows of 10", service: 0.052, rows: 10, hours: 3, wrong: Verdict::Advance, ..NULL },
];

/// xoshiro256**, by Blackman and Vigna: public domain.
struct Random([u64; 4]);

impl Random {
    fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        }))
    }

    fn next(&mut self) -> u64 {
        let result = self.0[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = self.0[1] << 17;
        self.0[2] ^= self.0[0];
        self.0[3] ^= self.0[1];
        self.0[1] ^= self.0[2];
        self.0[0] ^= self.0[3];
        self.0[2] ^= shifted;
        self.0[3] = self.0[3].rotate_left(45);
        result
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Times of a lognormal law, median 30 ms, sigma 0.8, as a table of equally likely ones.
struct Times(Vec<f64>);

impl Times {
    fn new(random: &mut Random) -> Self {
        let normal = |random: &mut Random| {
            let (u, v) = (random.share().max(1e-300), random.share());
            (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        Self((0..1 << 16).map(|_| 30e6 * (0.8 * normal(random)).exp()).collect())
    }

    fn draw(&self, random: &mut Random) -> f64 {
        self.0[(random.next() >> 48) as usize]
    }
}

struct Side<'a> {
    truth: &'a Truth,
    failures: f64,
    slower: f64,
    times: &'a Times,
}

impl Side<'_> {
    /// So many requests of a tick, each of another client, except those of a row.
    fn tick(&self, requests: u32, limits: Option<[usize; 3]>, random: &mut Random, counts: &mut SideCounts) {
        let mut left = requests;
        let begins = self.failures / f64::from(self.truth.rows);
        while left > 0 {
            let group = (random.next() >> 58) as usize % GROUPS;
            if random.share() < begins {
                // A row has a geometric length.
                let mut row = 1;
                while row < left && random.share() > 1.0 / f64::from(self.truth.rows) {
                    row += 1;
                }
                counts.asked[group] += row;
                counts.failed[group] += row;
                left -= row;
                continue;
            }
            left -= 1;
            counts.asked[group] += 1;
            let bucket = late_bucket((self.times.draw(random) * self.slower) as u64);
            counts.late[bucket] += 1;
            for (quantile, limit) in limits.iter().flatten().enumerate() {
                counts.beyond[quantile][group] += u32::from(bucket > *limit);
            }
        }
    }
}

struct End {
    verdict: Verdict,
    minutes: f64,
    requests: u64,
}

fn roll_out(truth: &Truth, gate: &Arc<Gate>, times: &Times, random: &mut Random) -> End {
    let scene = Scene { shadow: false, compared: false, paired: false };
    let mut judge = Judge::new(gate, scene, 0);
    let (mut step, mut since_move, mut spent) = (0, 0, 0);
    let (mut outage, mut outage_left) = (false, 0_u32);
    let ticks = truth.hours * 3600 / TICK;
    for tick_number in 1..=ticks {
        if truth.outages {
            if outage_left == 0 {
                outage = !outage && random.share() < 0.25;
                outage_left = if outage { 6 } else { 14 };
            }
            outage_left -= 1;
        }
        let (more, slow) = if outage { (0.2, 3.0) } else { (0.0, 1.0) };
        let slow = if (truth.slow)(since_move * TICK / 60) { 10.0 * slow } else { slow };
        let cold = 1.0 + (truth.cold - 1.0) * (-f64::from(since_move * TICK) / 60.0).exp();
        let all = truth.per_second * TICK;
        // The service's share is drawn by client: here it varies as that of independent requests.
        let weight = f64::from(gate.weight_of(step).buckets()) / 10_000.0;
        let service = (0..all).map(|_| u32::from(random.share() < weight)).sum::<u32>();
        let limits = judge.limits().copied();
        let mut tick = Tick::default();
        let monolith = Side { truth, failures: truth.monolith + more, slower: slow, times };
        monolith.tick(all - service, limits.map(|all| all.map(|limit| limit.monolith)), random, &mut tick.monolith);
        let other = Side { truth, failures: truth.service + more, slower: slow * truth.slower * cold, times };
        other.tick(service, limits.map(|all| all.map(|limit| limit.service)), random, &mut tick.service);
        spent += u64::from(service);
        judge.observe(&tick, since_move * TICK >= gate.settle.as_secs() as u32);
        since_move += 1;
        let end = |verdict| End { verdict, minutes: f64::from(tick_number * TICK) / 60.0, requests: spent };
        if judge.worst().is_some() {
            return end(Verdict::RollBack);
        }
        if since_move % 6 == 0 && judge.rule(Circumstances::default()).verdict == Verdict::Advance {
            step += 1;
            since_move = 0;
            if step == gate.steps.len() {
                return end(Verdict::Advance);
            }
            judge.next_step(scene, step);
        }
    }
    End { verdict: Verdict::Hold, minutes: f64::from(truth.hours * 60), requests: spent }
}

fn row(truth: &Truth, roll_outs: usize) -> (String, f64) {
    let gate = Arc::new(Gate::default());
    let mut random = Random::new(SEED);
    let times = Times::new(&mut random);
    let ends: Vec<End> = (0..roll_outs).map(|_| roll_out(truth, &gate, &times, &mut random)).collect();
    let share = |verdict| ends.iter().filter(|end| end.verdict == verdict).count() as f64 * 100.0 / roll_outs as f64;
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
    };
    let of = |verdict| move |end: &&End| end.verdict == verdict;
    let arrived = median(ends.iter().filter(of(Verdict::Advance)).map(|end| end.minutes).collect());
    let gone = median(ends.iter().filter(of(Verdict::RollBack)).map(|end| end.requests as f64).collect());
    let text = format!(
        "| {} | {:.1} | {:.1} | {:.1} | {arrived} | {gone} |",
        truth.name,
        share(Verdict::Advance),
        share(Verdict::RollBack),
        share(Verdict::Hold)
    );
    (text, share(truth.wrong))
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let roll_outs = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(1000);
    let only = arguments.next();
    println!(
        "| truth ({roll_outs} roll-outs) | promoted % | rolled back % | holds % | median minutes to promotion | median service requests to roll-back |"
    );
    println!("|---|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for truth in TRUTHS.iter().filter(|truth| only.as_ref().is_none_or(|only| truth.name.starts_with(only.as_str()))) {
        let began = Instant::now();
        let (text, share) = row(truth, roll_outs);
        println!("{text} {:.0} s", began.elapsed().as_secs_f64());
        if share > 2.0 {
            wrong.push(truth.name);
        }
    }
    assert!(wrong.is_empty(), "wrong in more than 2 %: {wrong:?}");
}
