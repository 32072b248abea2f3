//! Limits of time that the monolith left behind: they are measured anew, and what is proved by the new ones is as sure.

use std::sync::Arc;

use super::simulation::Random;
use crate::migration::gate::overdispersion::GROUPS;
use crate::migration::gate::{
    Circumstances, Discordant, Gate, Judge, LATE_BUCKETS, Metric, Reading, Scene, SideCounts, Tick, Verdict,
};

const ALONE: Scene = Scene { shadow: false, compared: false, paired: false };
const SHADOW: Scene = Scene { shadow: true, compared: true, paired: true };

/// Of 960 answers half are in `bucket`, a twentieth beyond the next hump, a hundredth beyond the third.
fn side(bucket: usize) -> SideCounts {
    let mut side = SideCounts { asked: [15; GROUPS], ..SideCounts::default() };
    for (hump, count) in [480, 432, 39, 9].into_iter().enumerate() {
        side.late[bucket + 20 * hump] = count;
    }
    side
}

fn tick(monolith: usize, service: usize) -> Tick {
    Tick { monolith: side(monolith), service: side(service), ..Tick::default() }
}

#[test]
fn limits_from_a_bad_moment_are_measured_anew_and_a_service_that_is_faster_arrives() {
    let mut judge = Judge::new(&Arc::new(Gate::default()), ALONE, 0);
    // While the step settles both are ten times as slow as they are from then on.
    for _ in 0..18 {
        judge.observe(&tick(306, 306), false);
    }
    let observed = |judge: &mut Judge, ticks| {
        for _ in 0..ticks {
            judge.observe(&tick(200, 160), true);
        }
        judge.rule(Circumstances::default())
    };
    let ruling = observed(&mut judge, 30);
    assert_eq!((ruling.verdict, judge.measured_anew()), (Verdict::Hold, 0), "{}", ruling.why);
    let ruling = observed(&mut judge, 60);
    assert_eq!((ruling.verdict, judge.measured_anew()), (Verdict::Advance, 1), "{}", ruling.why);
    let limits = judge.limits().expect("limits");
    assert_eq!((limits[0].monolith, limits[1].monolith), (200, 220));
}

#[test]
fn pairs_go_on_by_the_new_limits() {
    let mut judge = Judge::new(&Arc::new(Gate::default()), SHADOW, 0);
    let shadowed = |bucket, alone: [u64; 2]| {
        let mut tick = Tick { monolith: side(bucket), ..Tick::default() };
        tick.copies.compared = 960;
        let [monolith_alone, service_alone] = alone;
        tick.pairs = tick.pairs.map(|_| Discordant { pairs: 960, monolith_alone, service_alone, kept_waiting: 0 });
        tick
    };
    for _ in 0..18 {
        judge.observe(&shadowed(306, [0, 0]), false);
    }
    for _ in 0..61 {
        judge.observe(&shadowed(200, [0, 0]), true);
    }
    assert_eq!(judge.measured_anew(), 1, "all agree by a limit that nothing reaches");
    for _ in 0..20 {
        judge.observe(&shadowed(200, [40, 1]), true);
    }
    let ruling = judge.rule(Circumstances::default());
    assert_eq!((ruling.verdict, judge.measured_anew()), (Verdict::Advance, 1), "{}", ruling.why);
}

#[test]
fn what_was_proved_of_the_service_by_the_old_limit_does_not_prove_it_by_the_new_one() {
    let mut judge = Judge::new(&Arc::new(Gate::default()), ALONE, 0);
    judge.observe(&tick(200, 200), false);
    // Nearly sure, and then the monolith is ten times as slow.
    for _ in 0..2 {
        judge.observe(&tick(200, 160), true);
    }
    let better =
        |judge: &Judge| judge.readings().into_iter().find(|reading| reading.metric == Metric::Latency(1)).expect("p95");
    let before = better(&judge).better;
    assert!(before > 2.0, "{before}");
    while judge.measured_anew() == 0 {
        judge.observe(&tick(306, 306), true);
    }
    assert!(better(&judge).better <= 1.0, "{:?}", better(&judge));
}

#[test]
fn a_monolith_that_is_as_it_was_keeps_its_limits() {
    let mut judge = Judge::new(&Arc::new(Gate::default()), ALONE, 0);
    judge.observe(&tick(200, 208), false);
    // A fifth slower or so: nothing is ever proved.
    for _ in 0..600 {
        judge.observe(&tick(200, 209), true);
    }
    assert_eq!(judge.measured_anew(), 0);
}

/// The share of times below each bucket's bound, in 65 536ths: about a lognormal law.
struct Times(Vec<usize>);

impl Times {
    fn new(random: &mut Random) -> Self {
        // Twelve uniform numbers are as good as a normal one here. One doubling is 32 buckets.
        let normal = |random: &mut Random| (0..12).map(|_| random.share()).sum::<f64>() - 6.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bucket")]
        Self((0..1 << 12).map(|_| (200.0 + 20.0 * normal(random)).max(0.0) as usize).collect())
    }

    fn drawn(&self, requests: usize, slower: usize, random: &mut Random) -> SideCounts {
        let mut side =
            SideCounts { asked: [u32::try_from(requests / 64).expect("few"); GROUPS], ..SideCounts::default() };
        for _ in 0..requests {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "an index"
            )]
            let index = (random.share() * self.0.len() as f64) as usize;
            side.late[(self.0[index] + slower).min(LATE_BUCKETS - 1)] += 1;
        }
        side
    }
}

/// Of `steps` steps, in each of which the monolith's times change for good every 65 ticks: how many proved p50 or p95 within the margin,
/// how many are surely slower, and how often limits were measured anew. `slower`: the service, in buckets.
fn changing(seed: u64, steps: usize, slower: usize) -> (usize, usize, u32) {
    let mut random = Random(seed);
    let times = Times::new(&mut random);
    let (mut better, mut worse, mut anew) = (0, 0, 0);
    for _ in 0..steps {
        let mut judge = Judge::new(&Arc::new(Gate::default()), ALONE, 0);
        let (mut is_better, mut is_worse) = (false, false);
        for number in 0..4 * 65 {
            let shift = if number / 65 % 2 == 0 { 150 } else { 0 };
            let monolith = times.drawn(64, shift, &mut random);
            let service = times.drawn(64, shift + slower, &mut random);
            judge.observe(&Tick { monolith, service, ..Tick::default() }, number > 5);
            let times = judge.readings();
            let mut times = times.iter().filter(|reading| matches!(reading.metric, Metric::Latency(_)));
            is_better |= times.clone().any(|reading| reading.required && reading.is_proved());
            is_worse |= times.any(Reading::is_worse);
        }
        better += usize::from(is_better);
        worse += usize::from(is_worse);
        anew += judge.measured_anew();
    }
    (better, worse, anew)
}

#[test]
fn a_service_beyond_the_margin_is_not_proved_by_measuring_anew() {
    // One doubling is 32 buckets, so 1.2 times are 8.4: nine are beyond the margin.
    let (better, _, anew) = changing(21, 50, 9);
    assert!(anew >= 50, "limits were measured anew {anew} times");
    assert!(better <= 3, "two quantiles at 2 % each: {better} of 50");
}

#[test]
fn an_equal_service_is_not_said_to_be_slower_by_measuring_anew() {
    let (better, worse, anew) = changing(22, 50, 0);
    assert!((better, worse) == (50, 0), "{better} proved, {worse} said to be slower, {anew} anew");
}

#[test]
fn a_tick_in_which_nothing_was_counted_is_one_with_zeros() {
    for scene in [ALONE, SHADOW] {
        let mut judges = [(); 2].map(|()| Judge::new(&Arc::new(Gate::default()), scene, 0));
        let same = |judges: &[Judge; 2]| assert_eq!(format!("{:?}", judges[0]), format!("{:?}", judges[1]));
        let quiet = |judges: &mut [Judge; 2], settled: bool| {
            let before = (judges[0].rule(Circumstances::default()), judges[0].limits().copied());
            judges[0].observe(&Tick::default(), settled);
            let is_news = judges[1].observe_nothing(settled);
            let after = (judges[0].rule(Circumstances::default()), judges[0].limits().copied());
            assert!(is_news || before == after, "a ruling changed and nothing said so");
        };
        for step in 0..3 {
            for count in 0..200 {
                let settled = count > 20;
                // Traffic comes and goes, and the monolith's times change for good.
                if count % 7 < 3 {
                    let bucket = if count < 60 { 306 } else { 200 };
                    for judge in &mut judges {
                        judge.observe(&tick(bucket, 160), settled);
                    }
                } else {
                    quiet(&mut judges, settled);
                }
                same(&judges);
            }
            for judge in &mut judges {
                judge.next_step(scene, step);
            }
            // A step that begins without traffic.
            for _ in 0..70 {
                quiet(&mut judges, true);
            }
            same(&judges);
        }
    }
}
