//! The report for a person at a terminal 80 columns wide.

use std::fmt::{self, Display, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::difference::Kind;
use super::report::{FieldReport, Quantiles, Report, Verdicts};

/// Columns of a terminal.
const WIDTH: usize = 80;

/// Columns of a field's name where its numbers stand beside it.
const NAME: usize = 38;

/// Fields that are no regression and are still named.
const MAX_QUIET: usize = 10;

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", cut(&self.route, WIDTH))?;
        self.summary(f)?;
        let (loud, quiet): (Vec<_>, Vec<_>) = self.fields.iter().partition(|field| field.regression);
        if self.compared > 0 && loud.is_empty() {
            writeln!(f, "\n  no field differs more often than the monolith differs from itself")?;
        }
        if !loud.is_empty() {
            heading(f, "fields that differ")?;
            for field in loud {
                row(f, field)?;
                examples(f, field)?;
            }
        }
        if !quiet.is_empty() {
            heading(f, "noise, not counted")?;
            for field in quiet.iter().take(MAX_QUIET) {
                row(f, field)?;
            }
            if let Some(more) = quiet.len().checked_sub(MAX_QUIET).filter(|more| *more > 0) {
                writeln!(f, "  … and {more} more")?;
            }
        }
        Ok(())
    }
}

impl Report {
    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line =
            |f: &mut fmt::Formatter<'_>, name: &str, text: &str| writeln!(f, "  {name:<14}{}", cut(text, WIDTH - 16));
        let Some(mismatch_rate) = self.mismatch_rate else {
            line(f, "compared", "nothing yet")?;
            return self.beyond(f);
        };
        let [low, high] = self.interval;
        let Verdicts { matches, mismatch, .. } = self.verdicts;
        line(f, "agreement", &format!("{} of {} comparisons", percent(1.0 - mismatch_rate), grouped(self.compared)))?;
        line(f, "verdicts", &format!("{} match, {} mismatch", grouped(matches), grouped(mismatch)))?;
        let sure = format!("{} (95 % sure: {} to {})", percent(mismatch_rate), percent(low), percent(high));
        line(f, "mismatch rate", &sure)?;
        self.beyond(f)?;
        let noise = if self.noise_known {
            format!("known from {} replays", grouped(self.replays))
        } else {
            format!("not known yet ({} of 50 replays): every difference counts", self.replays)
        };
        line(f, "noise", &noise)?;
        if let (Some(first), Some(last)) = (&self.first_seen, &self.last_seen) {
            line(f, "seen", &format!("{first} to {last}"))?;
        }
        let quantiles = |Quantiles { p50_seconds, p99_seconds }: Quantiles| {
            format!("p50 {}, p99 {}", duration(p50_seconds), duration(p99_seconds))
        };
        line(f, "monolith", &quantiles(self.latency.control))?;
        line(f, "service", &quantiles(self.latency.candidate))
    }

    fn beyond(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.incomparable.is_empty() {
            return Ok(());
        }
        let reasons = self.incomparable.iter().map(|(why, count)| format!("{why} {}", grouped(*count)));
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        writeln!(f, "  {:<14}{}", "incomparable", cut(&reasons, WIDTH - 16))
    }
}

fn heading(f: &mut fmt::Formatter<'_>, title: &str) -> fmt::Result {
    writeln!(f, "\n  {title:<38}{:>10}{:>9}{:>9}  last seen", "differs", "rate", "noise")
}

fn row(f: &mut fmt::Formatter<'_>, field: &FieldReport) -> fmt::Result {
    // The day is enough here; the JSON has the second.
    let day = field.last_seen.get(..10).unwrap_or(&field.last_seen);
    let numbers =
        format!("{:>10}{:>9}{:>9}  {day}", grouped(field.raw), percent(field.raw_rate), percent(field.noise_rate));
    let name = cut(&field.field, WIDTH - 2);
    match NAME.checked_sub(name.width()) {
        Some(gap @ 1..) => writeln!(f, "  {name}{:gap$}{numbers}", ""),
        _ => writeln!(f, "  {name}\n  {:NAME$}{numbers}", ""),
    }
}

fn examples(f: &mut fmt::Formatter<'_>, field: &FieldReport) -> fmt::Result {
    let kinds = field.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    if field.kinds.iter().any(|kind| *kind != Kind::Value) {
        writeln!(f, "    differs in {kinds}")?;
    }
    for example in &field.examples {
        for (side, text) in [("monolith", &example.control), ("service", &example.candidate)] {
            let text = text.as_deref().unwrap_or("(absent)");
            writeln!(f, "    {side:<9} {}", cut(text, WIDTH - 14))?;
        }
    }
    Ok(())
}

/// At most this many columns, and nothing that moves the cursor or turns the direction: an answer may hold anything.
fn cut(text: &str, width: usize) -> String {
    let tame = |c: char| if c.is_control() || is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c };
    let mut out: String = text.chars().map(tame).collect();
    if out.width() > width {
        let mut columns = 0;
        let end = out.char_indices().find(|(_, c)| {
            columns += c.width().unwrap_or(0);
            columns >= width
        });
        out.truncate(end.map_or(0, |(at, _)| at));
        out.push('…');
    }
    out
}

/// What joins, separates and turns around: no terminal agrees with another on its width.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Two decimals, but never a 0 for something or a 100 for less than all.
fn percent(share: f64) -> String {
    let mut out = String::new();
    let written = match share * 100.0 {
        x if x > 0.0 && x < 0.005 => write!(out, "<0.01 %"),
        x if (99.995..100.0).contains(&x) => write!(out, ">99.99 %"),
        x => write!(out, "{x:.2} %"),
    };
    written.expect("writing to a String cannot fail");
    out
}

fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2} s"),
    }
}
