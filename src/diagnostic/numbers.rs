//! Numbers as a person reads them: counts with their word, thousands apart, spans of time.

/// `1 error`, `2 errors`.
#[must_use]
pub fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// `1 234 567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `12 s`, `5 min`, `3 h`, `21 days`.
#[must_use]
pub fn span(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 90.0 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 36.0 * 3600.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart_and_spans_have_the_unit_that_a_person_would_take() {
        for (number, text) in [(7, "7"), (610, "610"), (2508, "2 508"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(number), text);
        }
        for (seconds, text) in [(0.4, "0 s"), (89.0, "89 s"), (90.0, "2 min"), (5400.0, "2 h"), (129_600.0, "2 days")] {
            assert_eq!(span(seconds), text);
        }
    }
}
