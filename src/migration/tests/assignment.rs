//! The bucket of a client: pinned, even, independent between cohorts, and only ever moved by the weight.

#![allow(clippy::print_stdout, reason = "the figures are to be read: cargo test -- --nocapture")]

use proptest::prelude::*;

use super::world::{CASE, decided, policy, split};
use crate::migration::{BUCKETS, Bucket, Policy, Side, Stage, bucket};

const UNITS: u32 = 1_000_000;

#[test]
fn golden_values_pin_the_bucket() {
    // Made with another implementation: Python's xxhash, `xxh3_64_intdigest(cohort + b"\0" + unit) % 10000`.
    let table = [
        ("checkout", "user-1", 5479),
        ("checkout", "user-2", 3564),
        ("read-user", "user-1", 8591),
        ("read-user", "", 6803),
        ("", "x", 2528),
        ("checkout", "00112233445566778899aabbccddeeff", 1556),
        ("checkout", "\u{e9}\u{e9}\u{e9}", 2905),
        ("checkout", "203.0.113.7", 5748),
    ];
    for (cohort, unit, expected) in table {
        assert_eq!(bucket(cohort, unit.as_bytes()), Bucket(expected), "{cohort} {unit}");
    }
    assert_eq!(bucket("long", "u".repeat(1000).as_bytes()), Bucket(204));
    assert_eq!(bucket(&"a".repeat(120), "b".repeat(119).as_bytes()), Bucket(1364), "as long as the stack holds");
    assert_eq!(bucket(&"a".repeat(120), "b".repeat(120).as_bytes()), Bucket(6649), "one byte longer");
}

/// How many of the units lie in each bucket.
fn histogram(cohort: &str, unit: impl Fn(u32) -> String) -> Vec<u32> {
    let mut counts = vec![0; usize::from(BUCKETS)];
    for index in 0..UNITS {
        counts[usize::from(bucket(cohort, unit(index).as_bytes()).0)] += 1;
    }
    counts
}

/// For each weight from 0.01 % to 99.99 %: by how many standard deviations the measured share misses it.
fn deviations(counts: &[u32]) -> impl Iterator<Item = (u16, f64)> {
    let units: u32 = counts.iter().sum();
    let mut below = 0;
    (1..BUCKETS).zip(counts).map(move |(weight, count)| {
        below += count;
        let share = f64::from(weight) / f64::from(BUCKETS);
        let expected = f64::from(units) * share;
        (weight, (f64::from(below) - expected) / (expected * (1.0 - share)).sqrt())
    })
}

#[test]
fn every_weight_gets_its_share_of_a_million_units() {
    type Kind = (&'static str, &'static str, fn(u32) -> String);
    let kinds: [Kind; 4] = [
        ("cart", "numbers", |index| index.to_string()),
        ("search", "e-mail addresses", |index| format!("user{index}@shop.example")),
        ("read-user", "issued cookies", |index| {
            format!("{:032x}", u128::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
        }),
        ("cart", "addresses", |index| std::net::Ipv4Addr::from(0x0a00_0000 + index).to_string()),
    ];
    for (cohort, units, unit) in kinds {
        let counts = histogram(cohort, unit);
        let (weight, worst) =
            deviations(&counts).max_by(|one, other| one.1.abs().total_cmp(&other.1.abs())).expect("there are weights");
        println!(
            "share of {UNITS} {units} in cohort `{cohort}`: of 9999 weights the worst is {:.2} % with {worst:+.2} standard deviations",
            f64::from(weight) / 100.0
        );
        assert!(worst.abs() <= 3.0, "{units} in {cohort}: {worst} standard deviations at {weight}");
    }
}

/// Of 9 999 weights that hang together the worst passes three standard deviations in about a third of all perfectly random
/// assignments; above stand populations in which it does not. Here every population counts, as it comes.
#[test]
fn no_more_weights_miss_their_share_than_chance_allows() {
    const CLIENTS: u32 = 20_000;
    let (mut beyond, mut all) = (0_u32, 0_u32);
    for cohort in 0..100 {
        let mut counts = vec![0_u32; usize::from(BUCKETS)];
        for index in 0..CLIENTS {
            counts[usize::from(bucket(&format!("cohort-{cohort}"), format!("user-{index}").as_bytes()).0)] += 1;
        }
        // Below 1 % there are too few clients for the normal distribution to hold.
        for (_, deviation) in deviations(&counts).filter(|(weight, _)| (100..=9_900).contains(weight)) {
            all += 1;
            beyond += u32::from(deviation.abs() > 3.0);
        }
    }
    let share = f64::from(beyond) / f64::from(all);
    println!("weights beyond 3 standard deviations in 100 cohorts: {:.3} % of {all} (chance: 0.270 %)", share * 100.0);
    assert!(share < 0.01, "{share}");
}

#[test]
fn the_buckets_are_evenly_filled() {
    let counts = histogram("checkout", |index| format!("user-{index}"));
    let expected = f64::from(UNITS) / f64::from(BUCKETS);
    let chi_square: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    // 9 999 degrees of freedom: mean 9 999, standard deviation 141.4.
    println!("chi-square of 10000 buckets: {chi_square:.0} with 9999 degrees of freedom");
    assert!((chi_square - 9_999.0).abs() < 3.0 * 141.4, "{chi_square}");
}

#[test]
fn cohorts_are_independent_of_each_other() {
    // 81 degrees of freedom: more than 126.1 happens once in a thousand times by chance, fewer than 45.8 as rarely.
    for (one, other) in [("checkout", "search"), ("checkout", "checkout2"), ("a", "b"), ("read-user", "list-users")] {
        let mut table = [[0_u32; 10]; 10];
        for index in 0..UNITS {
            let unit = format!("user-{index}");
            let of = |cohort| usize::from(bucket(cohort, unit.as_bytes()).0 / 1000);
            table[of(one)][of(other)] += 1;
        }
        let total = f64::from(UNITS);
        let row = |at: usize| f64::from(table[at].iter().sum::<u32>());
        let column = |at: usize| f64::from(table.iter().map(|row| row[at]).sum::<u32>());
        let mut chi_square = 0.0;
        for (at, cells) in table.iter().enumerate() {
            for (across, cell) in cells.iter().enumerate() {
                let expected = row(at) * column(across) / total;
                chi_square += (f64::from(*cell) - expected).powi(2) / expected;
            }
        }
        println!("chi-square of `{one}` against `{other}`: {chi_square:.1} with 81 degrees of freedom");
        assert!((45.8..126.1).contains(&chi_square), "{one} {other}: {chi_square}");
    }
}

fn side(policy: &Policy, unit: &str) -> Side {
    decided(policy, &[("x-user-id", unit)], CASE).side
}

proptest! {
    #[test]
    fn raising_a_weight_never_moves_a_client_back_to_the_monolith(unit in "[ -~]{1,40}", one in 0_u16..=10_000, other in 0_u16..=10_000) {
        let (lower, higher) = (one.min(other), one.max(other));
        if side(&policy(Stage::Canary, lower), &unit) == Side::Service {
            prop_assert_eq!(side(&policy(Stage::Canary, higher), &unit), Side::Service);
        }
    }

    #[test]
    fn nobody_is_at_the_service_at_0_and_everybody_at_100(unit in "[ -~]{1,40}") {
        prop_assert_eq!(side(&policy(Stage::Canary, 0), &unit), Side::Monolith);
        prop_assert_eq!(side(&policy(Stage::Canary, 10_000), &unit), Side::Service);
    }

    #[test]
    fn one_cohort_is_one_side_whatever_the_route(unit in "[ -~]{1,40}", weight in 0_u16..=10_000) {
        let cart = policy(Stage::Canary, weight);
        let payment = Policy { service: Some(crate::endpoint::UpstreamId(2)), ..cart.clone() };
        prop_assert_eq!(side(&cart, &unit), side(&payment, &unit));
    }

    #[test]
    fn every_client_of_a_split_has_a_variant_and_one_only(unit in "[ -~]{1,40}", cut in 0_u16..=10_000) {
        let policy = split(&[("blue", cut), ("green", 10_000 - cut)]);
        let expected = u8::from(bucket("checkout", unit.as_bytes()).0 >= cut);
        prop_assert_eq!(side(&policy, &unit), Side::Variant(expected));
    }
}
