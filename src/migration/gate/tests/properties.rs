//! The promises of the rule, as properties.

use std::sync::Arc;

use proptest::prelude::*;

use crate::migration::gate::evalue::{Bets, Direction, Proportion, log_e};
use crate::migration::gate::metric::{Against, Comparison, Seen};
use crate::migration::gate::overdispersion::{GROUPS, Groups};
use crate::migration::gate::{Circumstances, Discordant, Gate, Judge, Metric, Needs, Ruling, Scene, Tick, Verdict};

/// The logarithms of n!/(k!(n−k)!) pᵏ(1−p)ⁿ⁻ᵏ for all k.
fn binomial(n: u32, p: f64) -> Vec<f64> {
    let mut ln_choose = 0.0;
    (0..=n)
        .map(|k| {
            if k > 0 {
                ln_choose += (f64::from(n - k + 1) / f64::from(k)).ln();
            }
            let power = |p: f64, n: u32| if n == 0 { 0.0 } else { f64::from(n) * p.ln() };
            ln_choose + power(p, k) + power(1.0 - p, n - k)
        })
        .collect()
}

fn expectation(sizes: (u32, u32), truth: (f64, f64), a: f64, b: f64, margin: f64) -> f64 {
    let (monolith, service) = (binomial(sizes.0, truth.0), binomial(sizes.1, truth.1));
    let mut expected = 0.0;
    for (km, ln_pm) in (0_u32..).zip(&monolith) {
        for (ks, ln_ps) in (0_u32..).zip(&service) {
            let ln_p = ln_pm + ln_ps;
            if ln_p > -60.0 {
                let count = |k: u32, n: u32| Proportion::new(f64::from(k), f64::from(n));
                expected += (ln_p + log_e(count(km, sizes.0), count(ks, sizes.1), a, b, margin)).exp();
            }
        }
    }
    expected
}

#[test]
fn no_bet_has_an_expectation_above_one_while_its_hypothesis_holds() {
    let mut cases = 0;
    for margin in [0.0, 0.005, 0.02] {
        for sizes in [(20, 3), (5, 40), (60, 60)] {
            for a in [0.0005, 0.01, 0.3] {
                for direction in [Direction::Worse, Direction::Better] {
                    let bets = Bets::by_margin(direction, a, margin);
                    // Three of the bets, and truths on the border and inside: more of them take long and show no more.
                    for b in bets.rates.into_iter().take(bets.weights.len()).step_by(2) {
                        let is_bet = if direction == Direction::Worse { b > a + margin } else { b < a + margin };
                        for monolith in [1e-4, 0.01, 0.2, 0.9] {
                            for inside in [0.0, 0.05] {
                                let step = if direction == Direction::Worse { -inside } else { inside };
                                let service = monolith + margin + step;
                                if is_bet && (0.0..=1.0).contains(&service) {
                                    let found = expectation(sizes, (monolith, service), a, b, margin);
                                    assert!(found <= 1.0 + 1e-9, "{found}: {margin} {sizes:?} {a} {b} {monolith}");
                                    cases += 1;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(cases > 500, "{cases} cases");
}

fn seen(km: u32, nm: u32, ks: u32, ns: u32) -> Seen {
    let service = Proportion::new(f64::from(ks), f64::from(ns));
    Seen { monolith: Proportion::new(f64::from(km), f64::from(nm)), service_worse: service, service_better: service }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn silence_of_a_side_is_worth_exactly_nothing(k in 0_u32..50, more in 0_u32..50, a in 0.001..0.5, b in 0.001..0.9) {
        let some = Proportion::new(f64::from(k), f64::from(k + more));
        prop_assert_eq!(log_e(some, Proportion::default(), a, b, 0.005).to_bits(), 0.0_f64.to_bits());
        prop_assert_eq!(log_e(Proportion::default(), some, a, b, 0.005).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn ticks_without_the_service_leave_the_evidence_as_it_is(ticks in prop::collection::vec((0_u32..5, 0_u32..3), 1..20)) {
        let mut test = Comparison::new(Against::Margin(0.005), 0.5);
        for (km, ks) in ticks {
            test.tick(seen(km, 100, ks, 10));
            let before = (test.worse, test.better);
            test.tick(seen(km, 100, 0, 0));
            prop_assert_eq!((test.worse, test.better), before);
        }
    }

    #[test]
    fn failures_in_proportion_to_what_each_client_asks_are_independent(
        asked in prop::collection::vec(0_u32..1000, GROUPS), of_hundred in 1_u32..100,
    ) {
        let mut groups = Groups::default();
        groups.add(asked.iter().map(|n| n * 100), asked.iter().map(|n| n * of_hundred));
        prop_assert_eq!(groups.factor().to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn the_order_of_two_ticks_does_not_change_what_they_prove_together(x in (0_u32..9, 0_u32..9), y in (0_u32..9, 0_u32..9)) {
        let of = |(km, ks): (u32, u32)| {
            log_e(Proportion::new(f64::from(km), 100.0), Proportion::new(f64::from(ks), 10.0), 0.002, 0.012, 0.005)
        };
        prop_assert!((of(x) + of(y) - (of(y) + of(x))).abs() < 1e-12);
    }

    #[test]
    fn one_more_failure_of_the_service_never_turns_a_roll_back_into_an_advance(
        ticks in prop::collection::vec((0_u32..4, 0_u32..8), 1..30),
    ) {
        let last = ticks.len() - 1;
        let ruled = |more: u32| {
            let mut judge = Judge::new(&Arc::new(Gate::default()), Scene { shadow: false, compared: false, paired: false }, 0);
            for (index, (km, ks)) in ticks.iter().enumerate() {
                let mut tick = Tick::default();
                for group in 0..GROUPS {
                    tick.monolith.asked[group] = 15;
                    tick.service.asked[group] = 2;
                }
                tick.monolith.failed[index % GROUPS] = *km;
                tick.service.failed[(index * 7) % GROUPS] = (*ks).min(2);
                if index == last {
                    tick.service.failed[(index * 7 + 1) % GROUPS] += more;
                }
                tick.monolith.late[100] = 900;
                tick.service.late[100] = 100;
                judge.observe(&tick, true);
            }
            judge.rule(Circumstances::default()).verdict
        };
        if ruled(0) == Verdict::RollBack {
            prop_assert!(ruled(1) != Verdict::Advance);
        }
    }

    #[test]
    fn a_projection_lies_between_the_two_rates_of_the_bet(
        nm in 1.0..1e7, ns in 1.0..1e7, a in 1e-5..0.9, b in 1e-6..0.999_999, margin in 1e-4..0.5,
    ) {
        let (a0, b0) = crate::migration::gate::evalue::project(nm, ns, a, b, margin);
        prop_assert!(a0 > 0.0 && b0 < 1.0);
        prop_assert!(a0 >= a.min(b - margin) - 1e-9 && a0 <= a.max(b - margin) + 1e-9, "{} {}", a0, b0);
    }
}

#[test]
fn a_service_that_refuses_everybody_quickly_is_rolled_back() {
    let mut judge = Judge::new(&Arc::new(Gate::default()), Scene { shadow: false, compared: false, paired: false }, 0);
    for _ in 0..10 {
        let mut tick = Tick::default();
        for group in 0..GROUPS {
            tick.monolith.asked[group] = 15;
        }
        for group in 0..10 {
            tick.service.asked[group] = 1;
            tick.service.refused[group] = 1;
        }
        tick.monolith.late[300] = 960;
        tick.service.late[100] = 10;
        judge.observe(&tick, true);
    }
    let ruling = judge.rule(Circumstances::default());
    assert_eq!(ruling.verdict, Verdict::RollBack, "{}", ruling.why);
    assert_eq!(ruling.why, "refusals: service 100 % of 100, monolith 0 % of 9 600; allowed +1 %");
}

#[test]
fn silence_holds_for_ever() {
    let mut judge = Judge::new(&Arc::new(Gate::default()), Scene { shadow: false, compared: false, paired: false }, 0);
    for _ in 0..10_000 {
        judge.observe(&Tick::default(), true);
    }
    assert_eq!(judge.rule(Circumstances::default()).verdict, Verdict::Hold);
}

/// By day a step settles; by night everything is twice as fast: nothing of either side is beyond the limit of the day.
/// `copies`: compared in each tick, with pairs that do not tell the sides apart.
fn ruled_by_night(scene: Scene, copies: u64) -> Ruling {
    let mut judge = Judge::new(&Arc::new(Gate::default()), scene, 0);
    let tick = |bucket: usize| {
        let mut tick = Tick::default();
        for side in [&mut tick.monolith, &mut tick.service] {
            side.asked = [15; GROUPS];
            side.late[bucket] = 960;
        }
        tick.copies.compared = copies;
        tick.pairs = tick.pairs.map(|pairs| Discordant { pairs: copies, ..pairs });
        tick
    };
    judge.observe(&tick(300), false);
    for _ in 0..40 {
        judge.observe(&tick(268), true);
    }
    judge.rule(Circumstances::default())
}

#[test]
fn a_limit_of_time_that_the_monolith_left_behind_is_not_said_to_be_the_service_at_the_margin() {
    let ruling = ruled_by_night(Scene { shadow: false, compared: false, paired: false }, 0);
    assert_eq!((ruling.verdict, ruling.needs), (Verdict::Hold, Needs::OldLimit), "{}", ruling.why);
}

#[test]
fn pairs_under_a_limit_that_the_monolith_left_behind_say_so_too() {
    let ruling = ruled_by_night(Scene { shadow: false, compared: true, paired: true }, 2_000);
    assert_eq!((ruling.verdict, ruling.needs), (Verdict::Hold, Needs::OldLimit), "{}", ruling.why);
}

#[test]
fn equal_services_whose_times_have_two_humps_are_not_said_to_be_at_the_margin() {
    // Half of the answers come at once and half a hundred times later: a fifth more is nothing to either.
    let tick = |humps: [u32; 2]| {
        let mut tick = Tick::default();
        for side in [&mut tick.monolith, &mut tick.service] {
            side.asked = [15; GROUPS];
            side.late[100] = humps[0];
            side.late[312] = humps[1];
        }
        tick
    };
    let mut judge = Judge::new(&Arc::new(Gate::default()), Scene { shadow: false, compared: false, paired: false }, 0);
    judge.observe(&tick([481, 479]), false);
    for _ in 0..40 {
        judge.observe(&tick([470, 490]), true);
    }
    let ruling = judge.rule(Circumstances::default());
    assert_eq!((ruling.verdict, ruling.needs), (Verdict::Hold, Needs::Unpaired), "{}", ruling.why);
}

/// One request in a hundred stays with the monolith, and each of those is copied. Half of the monolith's answers are in a time, a
/// few come much later; the service's are all in one.
fn last_step(count: u32) -> Tick {
    let mut tick = Tick::default();
    tick.monolith.asked[..4].fill(1);
    tick.service.asked = [6; GROUPS];
    let last = if count.is_multiple_of(5) { 260 } else { 182 };
    (tick.monolith.late[150], tick.monolith.late[182]) = (2, 1);
    tick.monolith.late[last] += 1;
    tick.service.late[140] = 384;
    tick.copies.compared = 4;
    for pairs in &mut tick.pairs {
        pairs.pairs = 4;
    }
    tick
}

#[test]
fn what_real_answers_prove_needs_no_copies_as_well() {
    let gate = Arc::new(Gate::default());
    let scene = Scene { shadow: false, compared: true, paired: true };
    let mut judge = Judge::new(&gate, scene, 4);
    for count in 0..10 {
        judge.observe(&last_step(count), false);
    }
    // Of more than 4 000 comparisons that would prove the same there are half.
    for count in 0..500 {
        judge.observe(&last_step(count), true);
    }
    let ruling = judge.rule(Circumstances::default());
    assert_eq!(ruling.verdict, Verdict::Advance, "{}", ruling.why);
    assert!(ruling.why.contains("failures surely") && !ruling.why.contains("mismatches"), "{}", ruling.why);
    let reading = |metric| ruling.readings.iter().find(|reading| reading.metric == metric).expect("a reading");
    assert_eq!(reading(Metric::Failures).instead, Some(Metric::Mismatches));
    let mismatches = reading(Metric::Mismatches);
    assert!(!mismatches.is_proved() && mismatches.better_at > 99.0, "each of two tests has half of the error");
}

#[test]
fn copies_that_may_differ_more_often_than_answers_may_fail_prove_nothing_of_failures() {
    let gate = Arc::new(Gate { max_mismatch: 0.2, ..Gate::default() });
    let mut judge = Judge::new(&gate, Scene { shadow: false, compared: true, paired: true }, 0);
    let mut tick = Tick::default();
    tick.monolith.asked = [15; GROUPS];
    tick.service.asked[0] = 1;
    tick.copies.compared = 1000;
    for _ in 0..20 {
        judge.observe(&tick, true);
    }
    let readings = judge.readings();
    let reading = |metric| readings.iter().find(|reading| reading.metric == metric).expect("a reading");
    let (failures, mismatches) = (reading(Metric::Failures), reading(Metric::Mismatches));
    assert!(mismatches.is_proved() && !mismatches.required, "{mismatches:?}");
    assert!(!failures.is_proved() && failures.instead.is_none() && failures.better_at < 51.0, "{failures:?}");
}

#[test]
fn what_is_missing_is_counted_in_what_comes_first() {
    let gate = Arc::new(Gate { min_requests: 1, ..Gate::default() });
    let mut judge = Judge::new(&gate, Scene { shadow: false, compared: true, paired: true }, 0);
    let mut tick = Tick::default();
    tick.monolith.asked = [15; GROUPS];
    tick.monolith.late[200] = 960;
    tick.service.asked[..10].fill(1);
    tick.service.late[190] = 10;
    tick.copies.compared = 960;
    for pairs in &mut tick.pairs[1..] {
        (pairs.pairs, pairs.monolith_alone) = (960, 40);
    }
    for count in 0..3 {
        judge.observe(&tick, count > 0);
    }
    // Comparisons come 96 times as often as requests of the service.
    let ruling = judge.rule(Circumstances::default());
    assert!(matches!(ruling.needs, Needs::Comparisons(500..4000)), "{:?}: {}", ruling.needs, ruling.why);
}

#[test]
fn where_little_comes_while_a_step_settles_its_limits_rest_on_the_steps_before() {
    let mut judge = Judge::new(&Arc::new(Gate::default()), Scene { shadow: false, compared: false, paired: false }, 3);
    let mut many = Tick::default();
    many.monolith.asked = [15; GROUPS];
    (many.monolith.late[200], many.monolith.late[260]) = (860, 100);
    let mut few = Tick::default();
    few.monolith.asked[0] = 2;
    few.monolith.late[200] = 2;
    judge.observe(&many, false);
    judge.observe(&many, true);
    judge.next_step(judge.scene(), 4);
    judge.observe(&few, false);
    judge.observe(&few, true);
    let limits = judge.limits().expect("the step has settled");
    assert_eq!((limits[0].monolith, limits[1].monolith), (200, 260), "not the luck of two answers");
}

#[test]
fn copies_that_wait_for_this_machine_are_not_said_to_be_the_service_at_the_margin() {
    let mut judge = Judge::new(&Arc::new(Gate::default()), Scene { shadow: true, compared: true, paired: true }, 0);
    let mut tick = Tick::default();
    tick.copies.compared = 1000;
    for pairs in &mut tick.pairs[1..] {
        (pairs.pairs, pairs.monolith_alone, pairs.service_alone, pairs.kept_waiting) = (1000, 60, 200, 180);
    }
    for _ in 0..40 {
        judge.observe(&tick, true);
    }
    let ruling = judge.rule(Circumstances::default());
    assert_eq!((ruling.verdict, ruling.needs), (Verdict::Hold, Needs::KeptWaiting), "{}", ruling.why);
}

#[test]
fn before_times_were_compared_no_number_is_made_up() {
    let mut judge = Judge::new(&Arc::new(Gate::default()), Scene { shadow: false, compared: false, paired: false }, 0);
    let mut tick = Tick::default();
    for side in [&mut tick.monolith, &mut tick.service] {
        side.asked = [15; GROUPS];
        side.late[200] = 960;
    }
    // Failures are proved while the step settles; of times nothing is known.
    for _ in 0..5 {
        judge.observe(&tick, false);
    }
    let ruling = judge.rule(Circumstances::default());
    assert_eq!((ruling.verdict, ruling.needs), (Verdict::Hold, Needs::Unknown), "{}", ruling.why);
}
