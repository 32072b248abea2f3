//! How figures, times and texts of strangers are written on a page.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::diagnostic;

/// Text that others may have chosen: what would hide, reorder or break the line is written as an escape.
pub fn plain(text: &str) -> Cow<'_, str> {
    let bad = |c: char| {
        // The end of a line is white space in HTML, and a line of its own in `pre`.
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
    };
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if bad(c) {
            write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a string takes any text");
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The same of lines of a file, whose tabs stay as they are.
pub fn code(text: &str) -> Cow<'_, str> {
    if !text.contains('\t') {
        return plain(text);
    }
    let parts: Vec<_> = text.split('\t').map(plain).collect();
    Cow::Owned(parts.join("\t"))
}

/// At most `longest` bytes, on a character's boundary.
pub fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// The text of an error, as a sentence of its own.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// Numbers and their units stay together.
fn together(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}

/// `1 032`.
pub fn count(number: u64) -> String {
    together(&diagnostic::grouped(number))
}

/// `1 error`, `1 032 errors`: the word is that of one.
pub fn counted(number: u64, word: &str) -> String {
    let (stem, ending) = match word.strip_suffix('y') {
        _ if number == 1 => (word, ""),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => (stem, "ies"),
        _ => (word, "s"),
    };
    format!("{} {stem}{ending}", count(number))
}

/// `0.02 %`.
pub fn percent(share: f64) -> String {
    format!("{:.2}\u{a0}%", share * 100.0)
}

/// `63.1 %`, `30 %`.
pub fn large_percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{}\u{a0}%", text.trim_end_matches(".0"))
}

/// `951 µs`, `9.6 ms`, `172 ms`, `1.4 s`.
pub fn seconds(seconds: f64) -> String {
    let text = match seconds {
        s if s < 0.000_999_5 => format!("{:.0} µs", s * 1e6),
        s if s < 0.009_95 => format!("{:.1} ms", s * 1e3),
        s if s < 0.999_5 => format!("{:.0} ms", s * 1e3),
        s if s < 99.5 => format!("{s:.1} s"),
        s => return span(s),
    };
    together(&text)
}

/// `12 s`, `5 min`, `3 h`, `21 days`.
pub fn span(seconds: f64) -> String {
    together(&diagnostic::span(seconds))
}

/// Requests in a window as a rate: `41.2/s`; what is rarer, by the minute.
pub fn rate(requests: u64, window_seconds: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    let each = requests as f64 / window_seconds.max(1.0);
    match each {
        0.0 => "0/s".to_owned(),
        e if e < 0.1 => format!("{:.1}/min", e * 60.0),
        e if e < 100.0 => format!("{e:.1}/s"),
        e => format!("{}/s", count(rounded(e))),
    }
}

fn rounded(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are not negative")]
    {
        number.round() as u64
    }
}

/// Of two counts; `None` where nothing was counted.
#[expect(clippy::cast_precision_loss, reason = "a share is shown with four digits")]
pub fn ratio(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// Day and minute of a time in RFC 3339, in UTC: `("28 November", "14:02")`.
pub fn day_and_time(rfc3339: &str) -> (String, String) {
    let Ok(at) = rfc3339.parse::<Timestamp>() else { return (String::new(), rfc3339.to_owned()) };
    (at.strftime("%-d %B %Y").to_string(), at.strftime("%H:%M").to_string())
}

/// A time beside others of other days: `14:02` of today, else `27 Nov 14:02`, with its year where that is another.
pub fn time_and_day(rfc3339: &str, now: Timestamp) -> String {
    let Ok(at) = rfc3339.parse::<Timestamp>() else { return rfc3339.to_owned() };
    let is_same = |part: &str| at.strftime(part).to_string() == now.strftime(part).to_string();
    let form = match (is_same("%F"), is_same("%Y")) {
        (true, _) => "%H:%M",
        (false, true) => "%-d\u{a0}%b %H:%M",
        (false, false) => "%-d\u{a0}%b %Y %H:%M",
    };
    at.strftime(form).to_string()
}

/// How long ago that was: `now`, `4 s ago`, `3 h ago`.
pub fn ago(rfc3339: &str, now: Timestamp) -> String {
    let Ok(at) = rfc3339.parse::<Timestamp>() else { return rfc3339.to_owned() };
    let seconds = now.duration_since(at).as_secs_f64();
    if seconds < 2.0 { "now".to_owned() } else { format!("{}\u{a0}ago", span(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_hide_or_turn_the_line_is_written_out() {
        assert_eq!(plain("/a\u{202e}gpj.exe\n\u{0}"), "/a\\u{202e}gpj.exe\n\\u{0}");
        assert!(matches!(plain("/caf\u{e9}/<b>"), Cow::Borrowed("/caf\u{e9}/<b>")));
        assert_eq!((plain("\ta"), code("\ta\u{7}\t")), ("\\u{9}a".into(), "\ta\\u{7}\t".into()));
        assert_eq!(cut("h\u{e9}llo", 2), "h");
    }

    #[test]
    fn a_time_of_another_day_says_which() {
        let now: Timestamp = "2026-11-28T14:05:00Z".parse().expect("a time");
        for (at, said) in [
            ("2026-11-28T00:00:00Z", "00:00"),
            ("2026-11-27T23:59:59Z", "27\u{a0}Nov 23:59"),
            ("2025-11-28T14:02:00Z", "28\u{a0}Nov 2025 14:02"),
            ("soon", "soon"),
        ] {
            assert_eq!(time_and_day(at, now), said);
        }
    }

    #[test]
    fn figures_are_written_as_a_person_reads_them() {
        let plain = |text: String| text.replace('\u{a0}', " ");
        assert_eq!(plain(percent(0.0194)), "1.94 %");
        assert_eq!((plain(large_percent(0.631)), plain(large_percent(0.3))), ("63.1 %".into(), "30 %".into()));
        for (value, text) in
            [(0.00095, "950 µs"), (0.0096, "9.6 ms"), (0.172, "172 ms"), (1.44, "1.4 s"), (200.0, "3 min")]
        {
            assert_eq!(plain(seconds(value)), text);
        }
        assert_eq!((rate(300, 300.0), plain(rate(300_000, 60.0))), ("1.0/s".into(), "5 000/s".into()));
        assert_eq!(rate(1, 300.0), "0.2/min");
        assert_eq!(day_and_time("2026-11-28T14:02:11.123Z"), ("28 November 2026".into(), "14:02".into()));
        assert_eq!(ratio(1, 0), None);
        for (number, text) in [(0, "0 copies"), (1, "1 copy"), (1032, "1 032 copies")] {
            assert_eq!(plain(counted(number, "copy")), text);
        }
        assert_eq!((counted(1, "error"), counted(2, "error")), ("1 error".to_owned(), "2 errors".to_owned()));
        assert_eq!((counted(1, "replay"), counted(2, "replay")), ("1 replay".to_owned(), "2 replays".to_owned()));
    }
}
