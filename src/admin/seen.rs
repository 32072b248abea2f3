//! The figures that a person could see when a route was moved: they stand in the journal beside the reason.

use serde_json::{Value, json};

use super::status::{RouteStatus, Window};

/// The evidence of the route's gate, or else the failures of both sides in the window of its row. `None`: neither side was asked.
pub fn seen(row: &RouteStatus, window: Window) -> Option<Value> {
    of_gate(row).or_else(|| of_window(row, window.length.as_secs()))
}

fn of_gate(row: &RouteStatus) -> Option<Value> {
    let gate = row.gate.as_ref()?;
    let counted = |value: &&Value| ["service", "monolith"].iter().any(|side| value[side][1].as_u64() > Some(0));
    gate.metrics
        .values()
        .any(|value| counted(&value))
        .then(|| json!({"step": gate.step, "of": gate.steps, "metrics": gate.metrics}))
}

/// Of a split all variants that are not the monolith are one.
fn of_window(row: &RouteStatus, seconds: u64) -> Option<Value> {
    let (mut service, mut monolith) = ([0, 0], [0, 0]);
    for side in &row.sides {
        let sum = if side.is_monolith { &mut monolith } else { &mut service };
        sum[0] += row.errors.get(&side.name).copied().unwrap_or(0);
        sum[1] += row.requests.get(&side.name).copied().unwrap_or(0);
    }
    (service[1] + monolith[1] > 0).then(|| {
        json!({"window_seconds": seconds, "metrics": {"failures": {"service": service, "monolith": monolith, "required": true}}})
    })
}

#[cfg(test)]
mod tests {
    use super::super::status::RouteSide;
    use super::*;

    #[test]
    fn variants_that_are_no_monolith_are_one_side() {
        let side = |name: &str, is_monolith| RouteSide { name: name.to_owned(), is_monolith, ..RouteSide::default() };
        let mut row = RouteStatus {
            sides: vec![side("blue", false), side("green", false), side("old", true)],
            ..RouteStatus::default()
        };
        assert_eq!(of_window(&row, 300), None, "nobody asked");
        for (name, errors, requests) in [("blue", 1, 10), ("green", 2, 20), ("old", 0, 70)] {
            row.errors.insert(name.to_owned(), errors);
            row.requests.insert(name.to_owned(), requests);
        }
        let failures = json!({"service": [3, 30], "monolith": [0, 70], "required": true});
        assert_eq!(of_window(&row, 300), Some(json!({"window_seconds": 300, "metrics": {"failures": failures}})));
    }
}
