//! Values with a unit: durations, sizes, shares, rates.

use std::time::Duration;

use serde_json::json;
use toml::de::DeValue;

use super::reader::{Decode, Reader, Value};
use crate::diagnostic::{Code, Diagnostic};

/// A share in hundredths of a percent, 0 to 10 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u16);

/// How much more, in hundredths of a percent: 100 % is twice as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Increase(pub u32);

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A number of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

/// Requests at once on a connection of HTTP/2: 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams(pub u32);

/// Requests in a time: `100/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub amount: u32,
    pub per: Duration,
}

/// Bytes in a second: `240B/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate(pub u64);

/// Why a value with a unit cannot be read.
pub(super) enum Unreadable {
    /// A bare number.
    NoUnit,
    /// With what was probably meant.
    Invalid(Option<String>),
    TooLarge,
}

/// A value that is written as a number and a unit.
pub(super) trait WithUnit: Decode {
    /// The units, for the remedy.
    const UNITS: &'static str;
    /// The probable meaning of a bare number.
    const USUAL_UNIT: &'static str;

    fn read(text: &str) -> Result<Self, Unreadable>;
}

fn decode<T: WithUnit>(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<T> {
    let text = match value.get_ref() {
        DeValue::Integer(_) | DeValue::Float(_) => {
            let written = reader.source(&value.span()).to_owned();
            report(&Unreadable::NoUnit, &written, value, reader, T::EXPECTED, T::USUAL_UNIT, T::UNITS);
            return None;
        }
        _ => reader.string::<T>(value)?,
    };
    match T::read(text.trim()) {
        Ok(read) => Some(read),
        Err(why) => {
            let why = match why {
                Unreadable::Invalid(_) => Unreadable::Invalid(meant::<T>(text.trim())),
                other => other,
            };
            report(&why, text.trim(), value, reader, T::EXPECTED, T::USUAL_UNIT, T::UNITS);
            None
        }
    }
}

fn report(
    why: &Unreadable,
    text: &str,
    value: &Value<'_>,
    reader: &mut Reader<'_>,
    expected: &str,
    unit: &str,
    units: &str,
) {
    let key = reader.key().to_owned();
    let diagnostic = match why {
        Unreadable::NoUnit => Diagnostic::new(Code::MissingUnit, format!("`{key}` must be {expected}, with its unit"))
            .label("no unit")
            .help(format!("write `{key} = \"{text}{unit}\"`; {units}")),
        Unreadable::Invalid(meant) => Diagnostic::new(Code::InvalidValue, format!("`{text}` is not {expected}"))
            .label(format!("not {expected}"))
            .help(match meant {
                Some(meant) => format!("did you mean `{key} = \"{meant}\"`? {units}"),
                None => units.to_owned(),
            }),
        Unreadable::TooLarge => Diagnostic::new(Code::OutOfRange, format!("`{key}` is `{text}`, which is too large"))
            .label("out of range")
            .help(units.to_owned()),
    };
    reader.report(diagnostic.at(value.span()));
}

/// Other programs' spellings of the units.
const SPELLINGS: [(&str, &[&str]); 9] = [
    ("ms", &["msec", "millis", "milliseconds"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("m", &["min", "mins", "minute", "minutes"]),
    ("h", &["hr", "hour", "hours"]),
    ("d", &["day", "days"]),
    ("KiB", &["K", "k", "KB", "kB", "kb", "Kb", "kib"]),
    ("MiB", &["M", "MB", "mb", "Mb", "mib"]),
    ("GiB", &["G", "GB", "gb", "Gb", "gib"]),
    ("%", &["percent", " percent"]),
];

fn meant<T: WithUnit>(text: &str) -> Option<String> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(at);
    let (unit, per) = unit.trim().strip_suffix("/s").map_or((unit.trim(), ""), |unit| (unit, "/s"));
    let known = SPELLINGS.iter().find(|(_, others)| others.contains(&unit)).map_or(unit, |(known, _)| known);
    let direct = format!("{number}{known}{per}");
    // A rate is often written without its time.
    [direct, format!("{number}{known}/s")].into_iter().find(|meant| T::read(meant).is_ok())
}

macro_rules! with_unit {
    ($($type:ty, $expected:literal, $example:literal, $usual:literal, $units:literal, $pattern:literal;)*) => {$(
        impl Decode for $type {
            const EXPECTED: &'static str = $expected;
            const EXAMPLE: &'static str = $example;

            fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
                decode(value, reader)
            }

            fn schema() -> serde_json::Value {
                // `${…}` may stand for the whole value or a part of it.
                json!({ "type": "string", "pattern": concat!("^\\s*(", $pattern, ")\\s*$|\\$\\{"), "examples": [$example.trim_matches('"')] })
            }
        }

        impl WithUnit for $type {
            const UNITS: &'static str = $units;
            const USUAL_UNIT: &'static str = $usual;

            fn read(text: &str) -> Result<Self, Unreadable> {
                Self::from_text(text)
            }
        }
    )*};
}

with_unit! {
    Duration, "a duration", "\"5s\"", "s", "units are ms, s, m, h and d, as in \"250ms\"", "[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)";
    Size, "a size", "\"64KiB\"", "B", "units are B, KiB, MiB and GiB, as in \"64KiB\"", "[0-9]+(B|KiB|MiB|GiB)";
    Percent, "a share", "\"10%\"", "%", "a share lies between \"0%\" and \"100%\", in steps of 0.01 %", "[0-9]+(\\.[0-9]{1,2})?%";
    Increase, "an increase", "\"20%\"", "%", "an increase is written in percent, as in \"20%\"", "[0-9]+(\\.[0-9]{1,2})?%";
    Rate, "a rate", "\"100/s\"", "/s", "rates are per s, m or h, as in \"100/s\"", "[0-9]+/(s|m|h)";
    ByteRate, "a rate in bytes", "\"240B/s\"", "B/s", "units are B/s, KiB/s, MiB/s and GiB/s, as in \"240B/s\"", "[0-9]+(B|KiB|MiB|GiB)/s";
}

/// A way for foreign types to be read, since they cannot have inherent functions of ours.
trait FromText: Sized {
    fn from_text(text: &str) -> Result<Self, Unreadable>;
}

/// Reads a duration as the file writes it: `250ms`, `5s`, `1m`, `1h`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    Duration::from_text(text.trim()).ok()
}

/// Reads a share as the file writes it: `10%`.
#[must_use]
pub fn percent(text: &str) -> Option<Percent> {
    Percent::from_text(text.trim()).ok()
}

fn split(text: &str) -> Result<(&str, &str), Unreadable> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    match (&text[..end], text[end..].trim_start()) {
        ("", _) => Err(Unreadable::Invalid(None)),
        (_, "") => Err(Unreadable::NoUnit),
        parts => Ok(parts),
    }
}

impl FromText for Duration {
    fn from_text(text: &str) -> Result<Self, Unreadable> {
        let (number, unit) = split(text)?;
        let nanoseconds: u64 = match unit {
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return Err(Unreadable::Invalid(None)),
        };
        scaled(number, nanoseconds).map(Self::from_nanos)
    }
}

/// A decimal number times a scale, exact to the scale's last digit.
fn scaled(number: &str, scale: u64) -> Result<u64, Unreadable> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return Err(Unreadable::Invalid(None));
    }
    let whole: u64 = whole.parse().map_err(|_| Unreadable::TooLarge)?;
    let mut total = whole.checked_mul(scale).ok_or(Unreadable::TooLarge)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        if !place.is_multiple_of(10) && digit != b'0' {
            return Err(Unreadable::Invalid(None));
        }
        place /= 10;
        total = total.checked_add(u64::from(digit - b'0') * place).ok_or(Unreadable::TooLarge)?;
    }
    Ok(total)
}

fn bytes(text: &str) -> Result<u64, Unreadable> {
    let (number, unit) = split(text)?;
    let scale: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(Unreadable::Invalid(None)),
    };
    let number: u64 = match number.parse() {
        Ok(number) => number,
        Err(_) if number.contains('.') => return Err(Unreadable::Invalid(None)),
        Err(_) => return Err(Unreadable::TooLarge),
    };
    number.checked_mul(scale).ok_or(Unreadable::TooLarge)
}

impl FromText for Size {
    fn from_text(text: &str) -> Result<Self, Unreadable> {
        bytes(text).map(Self)
    }
}

impl FromText for ByteRate {
    fn from_text(text: &str) -> Result<Self, Unreadable> {
        match text.strip_suffix("/s") {
            Some(size) => bytes(size.trim_end()).map(Self),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => Err(Unreadable::NoUnit),
            None => Err(Unreadable::Invalid(None)),
        }
    }
}

impl FromText for Percent {
    fn from_text(text: &str) -> Result<Self, Unreadable> {
        let (number, unit) = split(text)?;
        if unit != "%" {
            return Err(Unreadable::Invalid(None));
        }
        let hundredths = scaled(number, 100)?;
        u16::try_from(hundredths).ok().filter(|share| *share <= 10_000).map(Self).ok_or(Unreadable::TooLarge)
    }
}

impl FromText for Increase {
    fn from_text(text: &str) -> Result<Self, Unreadable> {
        let (number, unit) = split(text)?;
        if unit != "%" {
            return Err(Unreadable::Invalid(None));
        }
        u32::try_from(scaled(number, 100)?).map(Self).map_err(|_| Unreadable::TooLarge)
    }
}

impl FromText for Rate {
    fn from_text(text: &str) -> Result<Self, Unreadable> {
        let (number, unit) = split(text)?;
        let per = match unit.strip_prefix('/').map(str::trim_start) {
            Some("s") => 1,
            Some("m") => 60,
            Some("h") => 3600,
            _ => return Err(Unreadable::Invalid(None)),
        };
        let amount = match number.parse::<u32>() {
            Ok(amount) => amount,
            Err(_) if number.contains('.') => return Err(Unreadable::Invalid(None)),
            Err(_) => return Err(Unreadable::TooLarge),
        };
        Ok(Self { amount, per: Duration::from_secs(per) })
    }
}

impl Decode for Count {
    const EXPECTED: &'static str = "a whole number";
    const EXAMPLE: &'static str = "100";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        super::scalar::integer::<Self>(value, reader, 0, i64::MAX).map(|number| Self(number.unsigned_abs()))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "integer", "minimum": 0 })
    }
}

impl Decode for Streams {
    const EXPECTED: &'static str = "a whole number";
    const EXAMPLE: &'static str = "100";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let number = super::scalar::integer::<Self>(value, reader, 1, 1000)?;
        u32::try_from(number).ok().map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "integer", "minimum": 1, "maximum": 1000 })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ByteRate, FromText, Percent, Rate, Size};

    #[test]
    fn durations_are_read() {
        for (text, millis) in [("250ms", 250), ("5s", 5000), ("1.5s", 1500), ("1m", 60_000), ("1h", 3_600_000)] {
            assert_eq!(Duration::from_text(text).ok(), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5 minutes", "-1s", "1..5s", ".5s", "5.s", "99999999999999999999s", "1e3s"] {
            assert!(Duration::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_and_rates_are_read() {
        assert_eq!(Size::from_text("64KiB").ok(), Some(Size(65_536)));
        assert_eq!(Size::from_text("10 MiB").ok(), Some(Size(10_485_760)));
        assert_eq!(ByteRate::from_text("240B/s").ok(), Some(ByteRate(240)));
        assert_eq!(Rate::from_text("100/s").ok(), Some(Rate { amount: 100, per: Duration::from_secs(1) }));
        for text in ["64", "64KB", "1.5MiB", "x", "99999999999GiB"] {
            assert!(Size::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_have_steps_of_a_hundredth_of_a_percent() {
        for (text, hundredths) in [("0%", 0), ("0.01%", 1), ("10%", 1000), ("99.99%", 9999), ("100%", 10_000)] {
            assert_eq!(Percent::from_text(text).ok(), Some(Percent(hundredths)), "{text}");
        }
        for text in ["100.01%", "0.001%", "-1%", "10", "ten%", "%", "1.%"] {
            assert!(Percent::from_text(text).is_err(), "{text}");
        }
    }
}
