//! Numbers as they were written: compared as exact decimals, so that no digit of a long id is lost.

/// ± digits × 10^exponent, without leading or trailing zeros in the digits; zero has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a JSON number. `None` for an exponent that no program means.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (text, negative) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_end_matches('0');
        let dropped = all.len() - digits.len();
        let digits = digits.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let exponent =
            exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(i64::try_from(dropped).ok()?)?;
        Some(Self { negative, digits, exponent })
    }

    /// The same text for the same value.
    pub(super) fn canonical(&self) -> String {
        format!("{}{}e{}", if self.negative { "-" } else { "" }, self.digits, self.exponent)
    }

    /// The value in units of 10^exponent, when that fits.
    fn scaled(&self, exponent: i64) -> Option<i128> {
        let zeros = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        let digits = if self.digits.is_empty() { 0 } else { self.digits.parse::<i128>().ok()? };
        let value = if digits == 0 { 0 } else { digits.checked_mul(10_i128.checked_pow(zeros)?)? };
        Some(if self.negative { -value } else { value })
    }

    fn approximate(&self) -> f64 {
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        format!("{}{digits}e{}", if self.negative { "-" } else { "" }, self.exponent).parse().unwrap_or(f64::INFINITY)
    }

    /// |self − other| ≤ tolerance; exact as long as 38 digits suffice.
    fn within(&self, other: &Self, tolerance: &Self) -> bool {
        let exponent = self.exponent.min(other.exponent).min(tolerance.exponent);
        let exact = || {
            let apart = self.scaled(exponent)?.checked_sub(other.scaled(exponent)?)?;
            Some(apart.unsigned_abs() <= tolerance.scaled(exponent)?.unsigned_abs())
        };
        exact().unwrap_or_else(|| (self.approximate() - other.approximate()).abs() <= tolerance.approximate())
    }
}

/// Whether two JSON numbers are the same: `1.0` is `1` and `1e2` is `100`, unless numbers are compared as they are written.
pub(super) fn same(a: &str, b: &str, as_written: bool, tolerance: Option<&Decimal>) -> bool {
    if a == b {
        return true;
    }
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => (!as_written && a == b) || tolerance.is_some_and(|tolerance| a.within(&b, tolerance)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_by_value_and_never_lose_digits() {
        for (a, b, equal) in [
            ("1", "1.0", true),
            ("1e2", "100", true),
            ("0.1E+1", "1", true),
            ("-0", "0.0", true),
            ("0e99", "0", true),
            ("9007199254740993", "9007199254740992", false),
            ("18446744073709551615", "18446744073709551616", false),
            ("0.1", "0.10000000000000001", false),
            ("1e99999999999999999999", "1e99999999999999999998", false),
            ("1e400", "1e401", false),
            ("-1", "1", false),
        ] {
            assert_eq!(same(a, b, false, None), equal, "{a} {b}");
            assert_eq!(same(b, a, false, None), equal, "{b} {a}");
        }
    }

    #[test]
    fn a_tolerance_includes_its_edge() {
        for (a, b, tolerance, equal) in [
            ("0.10", "0.11", "0.01", true),
            ("0.10", "0.1101", "0.01", false),
            ("-1", "1", "2", true),
            ("9007199254740993", "9007199254740995", "1", false),
            ("9007199254740993", "9007199254740995", "2", true),
            ("1e300", "2e300", "1", false),
            ("1e300", "1.5e300", "1e300", true),
            ("1e-300", "0", "0.1", true),
        ] {
            let tolerance = Decimal::parse(tolerance).expect("a number");
            assert_eq!(same(a, b, false, Some(&tolerance)), equal, "{a} {b}");
            assert_eq!(same(b, a, false, Some(&tolerance)), equal, "{b} {a}");
        }
    }
}
