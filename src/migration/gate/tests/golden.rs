//! The golden values of tests/golden/gate.json, which another program made.

use serde_json::Value;

use crate::migration::gate::evalue::{Bets, Direction, Proportion, log_e, log_e_one, project};
use crate::migration::gate::metric::{Against, Comparison, Prediction, Seen};
use crate::migration::gate::overdispersion::{Dispersion, GROUPS, Groups};
use crate::migration::gate::wealth::Wealth;

fn golden(part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../../../tests/golden/gate.json")).expect("JSON");
    all[part].as_array().expect("a list").clone()
}

fn number(entry: &Value, key: &str) -> f64 {
    entry[key].as_f64().unwrap_or_else(|| panic!("{key} of {entry}"))
}

fn close(found: f64, expected: f64, of: &Value) {
    assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{found} instead of {expected}: {of}");
}

#[test]
fn e_values_are_the_golden_ones() {
    let entries = golden("log_e");
    assert_eq!(entries.len(), 10);
    for entry in entries {
        let of = |key: &str| number(&entry, key);
        let (a0, b0) = project(of("nm"), of("ns"), of("a"), of("b"), of("margin"));
        close(a0, of("a0"), &entry);
        close(b0, of("b0"), &entry);
        let (monolith, service) = (Proportion::new(of("km"), of("nm")), Proportion::new(of("ks"), of("ns")));
        close(log_e(monolith, service, of("a"), of("b"), of("margin")), of("log_e"), &entry);
    }
}

#[test]
fn evidence_over_time_is_the_golden_one() {
    let mut wealth = Wealth::default();
    for entry in golden("wealth") {
        let tick: Vec<f64> = entry["tick"].as_array().expect("a list").iter().filter_map(Value::as_f64).collect();
        let [nm, km, ns, ks] = tick[..] else { panic!("four numbers: {entry}") };
        let a = number(&entry, "a");
        let bets = Bets::by_margin(Direction::Worse, a, 0.005);
        wealth.tick(&bets, Dispersion::NONE, |b| log_e(Proportion::new(km, nm), Proportion::new(ks, ns), a, b, 0.005));
        close(wealth.total(), number(&entry, "total"), &entry);
    }
}

#[test]
fn the_requests_that_a_proof_takes_are_the_golden_ones() {
    for entry in golden("needs") {
        let (base, margin) = (number(&entry, "monolith_error_rate"), number(&entry, "margin"));
        let mut test = Comparison::new(Against::Margin(margin), 0.5);
        let mut requests = 0.0;
        while test.better.total() < 1.0 / number(&entry, "alpha") {
            let service = Proportion::new(10.0 * base, 10.0);
            let seen = Seen {
                monolith: Proportion::new(990.0 * base, 990.0),
                service_worse: service,
                service_better: service,
            };
            test.tick(seen);
            requests += 10.0;
        }
        close(requests, number(&entry, "service_requests"), &entry);
    }
}

#[test]
fn overdispersion_is_the_golden_one() {
    let cases: [(Vec<u32>, Vec<u32>); 4] = [
        (one_and_rest(10, 0), vec![100; GROUPS]),
        ((0..64).map(|group| u32::from(group < 10)).collect(), vec![100; GROUPS]),
        (vec![5; GROUPS], vec![100; GROUPS]),
        (one_and_rest(50, 0), one_and_rest(1000, 10)),
    ];
    for (entry, (counted, asked)) in golden("phi").iter().zip(cases) {
        let mut groups = Groups::default();
        groups.add(asked, counted);
        close(groups.factor(), number(entry, "used"), entry);
    }
}

fn one_and_rest(first: u32, rest: u32) -> Vec<u32> {
    let mut groups = vec![rest; GROUPS];
    groups[0] = first;
    groups
}

#[test]
fn without_a_mismatch_the_golden_number_of_comparisons_proves_the_limit() {
    let entry = &golden("mismatch")[0];
    let mut wealth = Wealth::default();
    let mut compared = 0.0;
    while wealth.total() < 1.0 / number(entry, "alpha") {
        let bets = Bets::by_limit(Direction::Better, 0.001);
        wealth.tick(&bets, Dispersion::NONE, |bet| log_e_one(Proportion::new(0.0, 50.0), bet, 0.001));
        compared += 50.0;
    }
    close(compared, number(entry, "median_comparisons"), entry);
}

#[test]
fn a_prediction_begins_with_two_in_a_thousand() {
    assert!((Prediction::new(0.5).rate() - 0.002).abs() < 1e-12);
}
