//! The report for a person at a terminal 80 columns wide.

use std::fmt::{self, Display, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::difference::{Kind, SURROUNDINGS};
use super::gaps::segments;
use super::report::{CopiesReport, FieldReport, Quantiles, Report, Verdicts, status_word};
use crate::diagnostic::grouped;

/// Columns of a terminal.
pub(super) const WIDTH: usize = 80;

/// Columns of a field's name where its numbers stand beside it.
const NAME: usize = 38;

/// Columns of one side of an example, its marks not counted.
const ROOM: usize = WIDTH - 16 - 4;

/// Examples of one field; the JSON has the others.
const MAX_EXAMPLES: usize = 3;

/// Fields that are no regression and are still named.
const MAX_QUIET: usize = 10;

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(false))
    }
}

impl Report {
    /// For a person. `colour`: the parts that differ are coloured instead of put in brackets.
    pub fn to_text(&self, colour: bool) -> String {
        let mut out = String::new();
        self.write(&mut out, colour).expect("writing to a String cannot fail");
        out
    }

    /// One line among those of all routes.
    pub fn to_line(&self) -> String {
        let rate = self.mismatch_rate.map_or_else(|| "–".to_owned(), percent);
        let regressions: Vec<_> = self.regressions().collect();
        let what = match regressions.as_slice() {
            _ if self.copies.answered == 0 && self.copies.failed() > 0 => "copies fail".to_owned(),
            [] if self.waiting > 0 && self.compared == 0 => "waits for noise".to_owned(),
            [] => String::new(),
            [one] => (*one).to_owned(),
            [one, ..] => format!("{one} and {} more", regressions.len() - 1),
        };
        let Verdicts { undecided, .. } = self.verdicts;
        let (route, compared) = (cut(&self.route, 24), grouped(self.compared));
        let gap = 24_usize.saturating_sub(route.width());
        format!("{route}{:gap$} {compared:>9} {rate:>9} {:>9}  {}", "", grouped(undecided), cut(&what, 24))
    }

    /// The heads of the columns of `to_line`.
    pub fn heading() -> String {
        format!("{:<24} {:>9} {:>9} {:>9}  differs in", "route", "compared", "mismatch", "undecided")
    }

    fn write(&self, f: &mut String, colour: bool) -> fmt::Result {
        writeln!(f, "{}", cut(&self.route, WIDTH))?;
        self.copies(f)?;
        self.summary(f)?;
        self.status_table(f)?;
        let (loud, quiet): (Vec<_>, Vec<_>) = self.fields.iter().partition(|field| field.regression);
        if self.part {
            if loud.is_empty() && quiet.is_empty() && self.statuses.is_empty() {
                writeln!(f, "\n  what was asked for did not differ")?;
            }
        } else if self.compared > 0 && loud.is_empty() {
            writeln!(f, "\n  no field differs more often than the monolith differs from itself")?;
        }
        if !loud.is_empty() {
            let judged = self.noise_known || !self.noise_knowable;
            heading(f, if judged { "fields that differ" } else { "differs, not judged yet" })?;
            for field in loud {
                row(f, field)?;
                // The table above has them.
                if field.field != "status" || self.statuses.is_empty() {
                    examples(f, field, colour)?;
                }
            }
        }
        if !quiet.is_empty() {
            heading(f, "noise, not counted")?;
            for field in quiet.iter().take(MAX_QUIET) {
                row(f, field)?;
                if field.blind_rate < 1.0 {
                    let blind = percent(field.blind_rate);
                    // Where it always varies, the rest of it alone is compared.
                    let rest = if field.noise_rate < 1.0 { "" } else { "beside what varies, " };
                    writeln!(f, "    {rest}a fault in less than {blind} of answers would not be seen")?;
                } else {
                    writeln!(f, "    a fault here would not be seen")?;
                }
            }
            if let Some(more) = quiet.len().checked_sub(MAX_QUIET).filter(|more| *more > 0) {
                writeln!(f, "  … and {more} more")?;
            }
        }
        Ok(())
    }

    fn copies(&self, f: &mut String) -> fmt::Result {
        let failed = self.copies.failed();
        if failed == 0 {
            return Ok(());
        }
        let CopiesReport { answered, timeout, connect, reset, last_failure, .. } = &self.copies;
        let kinds = [("connect", connect), ("timeout", timeout), ("reset", reset)];
        let kinds = kinds.iter().filter(|(_, count)| **count > 0);
        let kinds = kinds.map(|(kind, count)| format!("{kind} {}", grouped(**count))).collect::<Vec<_>>().join(", ");
        let text =
            format!("COPIES FAIL: {} of {} got no answer ({kinds})", grouped(failed), grouped(answered + failed));
        writeln!(f, "  {}", cut(&text, WIDTH - 2))?;
        match last_failure {
            Some(why) => writeln!(f, "  {:<14}{}", "why", cut(why, WIDTH - 16)),
            None => Ok(()),
        }
    }

    fn summary(&self, f: &mut String) -> fmt::Result {
        let line = |f: &mut String, name: &str, text: &str| writeln!(f, "  {name:<14}{}", cut(text, WIDTH - 16));
        if let Some(since) = &self.since {
            line(f, "since", since)?;
        }
        let Verdicts { matches, mismatch, undecided, dropped, .. } = self.verdicts;
        let all = self.compared + undecided;
        match self.mismatch_rate {
            None if self.waiting > 0 => line(f, "compared", "nothing judged yet")?,
            None if undecided > 0 => line(f, "UNDECIDED", &format!("{} of {}", percent(1.0), grouped(all)))?,
            None => line(f, "compared", "nothing yet")?,
            Some(rate) => {
                let mut text = format!("{} of {} comparisons", percent(rate), grouped(self.compared));
                if undecided > 0 {
                    write!(text, ", {} undecided", percent(share(undecided, all)))?;
                }
                line(f, "MISMATCH", &text)?;
                let [low, high] = self.interval;
                line(f, "95 % sure", &format!("{} to {}", percent(low), percent(high)))?;
            }
        }
        let (matches, mismatch, undecided) = (grouped(matches), grouped(mismatch), grouped(undecided));
        let mut verdicts = format!("{matches} match, {mismatch} mismatch, {undecided} undecided");
        if dropped > 0 {
            write!(verdicts, ", {} dropped", grouped(dropped))?;
        }
        line(f, "verdicts", &verdicts)?;
        if self.waiting > 0 {
            line(f, "waiting", &format!("{} comparisons, until noise is known", grouped(self.waiting)))?;
        }
        if self.verdicts.incomparable > 0 {
            let reasons = self.incomparable.iter().map(|(why, count)| format!("{why} {}", grouped(*count)));
            let reasons = reasons.collect::<Vec<_>>().join(", ");
            let all = grouped(self.verdicts.incomparable);
            line(f, "incomparable", if reasons.is_empty() { &all } else { &reasons })?;
        }
        let sandbox = self.replays_at_sandbox;
        let at = match (self.replays.saturating_sub(sandbox), sandbox) {
            // No replay was sent yet.
            (0, 0) => String::new(),
            (_, 0) => " at the monolith".to_owned(),
            (0, _) => " at the sandbox".to_owned(),
            (_, sandbox) => format!(", {} at the sandbox", grouped(sandbox)),
        };
        let noise = match (self.noise_known, self.noise_knowable) {
            (true, _) => format!("known from {} replays{at}", grouped(self.replays)),
            (false, true) => format!("not known yet ({} of 50 replays{at})", self.replays),
            (false, false) => "cannot be known, no request is sent twice: all counts".to_owned(),
        };
        line(f, "noise", &noise)?;
        if let (Some(first), Some(last)) = (&self.first_seen, &self.last_seen) {
            line(f, "seen", &format!("{first} to {last}"))?;
        }
        if let Some(began) = &self.began {
            line(f, "began anew", &began.at)?;
            line(f, "because", &began.why)?;
        }
        if self.latency.control.p50_seconds.or(self.latency.candidate.p50_seconds).is_some() {
            let quantiles = |Quantiles { p50_seconds, p99_seconds }: Quantiles| {
                format!("p50 {}, p99 {}", duration(p50_seconds), duration(p99_seconds))
            };
            line(f, "monolith", &quantiles(self.latency.control))?;
            line(f, "service", &quantiles(self.latency.candidate))?;
        }
        Ok(())
    }

    fn status_table(&self, f: &mut String) -> fmt::Result {
        if self.statuses.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n  statuses that differ")?;
        for pair in &self.statuses {
            let (from, to) = (status_word(&pair.from), status_word(&pair.to));
            let with = match (pair.authorized, pair.count) {
                (0, _) => String::new(),
                (some, all) if some == all => "  (all with credentials)".to_owned(),
                (some, _) => format!("  ({} with credentials)", grouped(some)),
            };
            writeln!(f, "    {from} → {to:<10}{:>8}{with}", grouped(pair.count))?;
            if let Some(hint) = &pair.hint {
                writeln!(f, "      {}", cut(hint, WIDTH - 6))?;
            }
            for request in pair.requests.iter().take(MAX_EXAMPLES) {
                let number = numbered(request.number);
                let id = request.request_id.as_deref().unwrap_or_default();
                let text = format!("{number}{} {} {}  {id}", request.seen, request.method, request.target);
                writeln!(f, "      {}", cut(text.trim_end(), WIDTH - 6))?;
            }
        }
        Ok(())
    }
}

impl CopiesReport {
    /// Copies that were sent and got no answer.
    pub const fn failed(&self) -> u64 {
        self.timeout.saturating_add(self.connect).saturating_add(self.reset)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no 16 digits")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn heading(f: &mut String, title: &str) -> fmt::Result {
    writeln!(f, "\n  {title:<38}{:>10}{:>9}{:>9}  last seen", "differs", "rate", "noise")
}

fn row(f: &mut String, field: &FieldReport) -> fmt::Result {
    // The time of day is enough here; the JSON has the rest.
    let time = field.last_seen.get(11..19).unwrap_or(&field.last_seen);
    let numbers =
        format!("{:>10}{:>9}{:>9}  {time}", grouped(field.raw), percent(field.raw_rate), percent(field.noise_rate));
    let name = shortened(&field.field, WIDTH - 2);
    match NAME.checked_sub(name.width()) {
        Some(gap @ 1..) => writeln!(f, "  {name}{:gap$}{numbers}", ""),
        _ => writeln!(f, "  {name}\n  {:NAME$}{numbers}", ""),
    }
}

/// A long name loses its middle: both ends say more.
fn shortened(name: &str, width: usize) -> String {
    let name = cut(name, usize::MAX);
    if name.width() <= width {
        return name;
    }
    let half = (width - 3) / 2;
    let head: String = name.chars().take(half).collect();
    let count = name.chars().count();
    let tail: String = name.chars().skip(count.saturating_sub(half)).collect();
    cut(&format!("{head} … {tail}"), width)
}

fn examples(f: &mut String, field: &FieldReport, colour: bool) -> fmt::Result {
    if field.kinds.iter().any(|kind| *kind != Kind::Value) {
        let kinds = field.kinds.iter().map(|kind| said(*kind)).collect::<Vec<_>>().join(", ");
        writeln!(f, "    {kinds}")?;
    }
    let shown = |at: usize| {
        let sides = |at: usize| field.examples.get(at).map(|example| (&example.control, &example.candidate));
        // The same values of an older request say nothing new.
        (0..at).all(|newer| sides(newer) != sides(at))
    };
    let new = field.examples.iter().enumerate().filter(|(at, _)| shown(*at)).map(|(_, example)| example);
    for example in new.take(MAX_EXAMPLES) {
        if let (Some(method), Some(target)) = (&example.method, &example.target) {
            let status = match &example.statuses {
                Some([a, b]) if a == b => status_word(a),
                Some([a, b]) => format!("{} → {}", status_word(a), status_word(b)),
                None => String::new(),
            };
            let id = example.request_id.as_deref().unwrap_or_default();
            let number = numbered(example.number);
            let text = format!("{number}{} {method} {target}  {status}  {id}", example.seen);
            writeln!(f, "    {}", cut(text.trim_end(), WIDTH - 4))?;
        }
        for line in side_lines(example.control.as_deref(), example.candidate.as_deref(), colour) {
            writeln!(f, "{line}")?;
        }
    }
    Ok(())
}

/// In which way a field differs, in words.
const fn said(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "another value",
        Kind::Type => "another type",
        Kind::Missing => "only the monolith has it",
        Kind::Extra => "only the service has it",
        Kind::Length => "another length",
        Kind::Members => "other members",
        Kind::Order => "another order",
    }
}

/// `#17 `, by which the request can be asked again.
fn numbered(number: Option<u64>) -> String {
    number.map_or_else(String::new, |number| format!("#{number} "))
}

/// Each side's value of a field, a line each; none where nothing is kept.
pub(super) fn side_lines(control: Option<&str>, candidate: Option<&str>, colour: bool) -> Vec<String> {
    let [a, b] = match (control, candidate) {
        (None, None) => return Vec::new(),
        (Some(a), Some(b)) => {
            marked(a, b, colour).map(|side| if side.is_empty() { "(empty)".to_owned() } else { side })
        }
        (a, b) => [a, b].map(|side| side.map_or_else(|| "(absent)".to_owned(), |text| cut(text, WIDTH - 16))),
    };
    vec![format!("      {:<9} {a}", "monolith"), format!("      {:<9} {b}", "service")]
}

/// Both sides with the parts that differ marked; what is kept of two different texts may be the same.
fn marked(control: &str, candidate: &str, colour: bool) -> [String; 2] {
    if control == candidate {
        return [control, candidate].map(|text| cut(text, ROOM));
    }
    let segments = segments(control, candidate);
    let marks =
        if colour { [["\u{1b}[31m", "\u{1b}[0m"], ["\u{1b}[32m", "\u{1b}[0m"]] } else { [["[-", "-]"], ["{+", "+}"]] };
    // The part that an example was made of stands where its surroundings begin to be cut; of others the first one is as good.
    let columns = |from: usize, side: usize| -> usize {
        segments.iter().take(from).map(|segment| segment.sides.get(side).map_or(0, |text| tame(text).width())).sum()
    };
    let differing = segments.iter().enumerate().filter(|(_, segment)| !segment.same).map(|(at, _)| at);
    let meant = if control.starts_with('…') {
        differing.min_by_key(|at| columns(*at, 0).abs_diff(SURROUNDINGS + 1))
    } else {
        differing.min()
    };
    [0, 1].map(|side| {
        let runs = segments.iter().map(|segment| (tame(segment.sides.get(side).unwrap_or(&"")), segment.same));
        let runs: Vec<_> = runs.collect();
        let all: usize = runs.iter().map(|(text, _)| text.width()).sum();
        // A token that is too long to be shown begins where the other side's is another.
        let same = meant.and_then(|at| segments.get(at)).map_or(0, |segment| {
            let [a, b] = segment.sides;
            let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c.width().unwrap_or(0));
            if segment.sides.iter().any(|text| text.width() > ROOM / 2) { same.sum() } else { 0 }
        });
        let focus = meant.map_or(0, |at| columns(at, side)) + same;
        let from = if all <= ROOM { 0 } else { focus.saturating_sub(ROOM / 3).min(all - ROOM) };
        written(&runs, from, marks[side])
    })
}

/// The columns of a line from one on, with marks around what differs, and `…` where something is cut.
fn written(runs: &[(String, bool)], from: usize, [open, close]: [&str; 2]) -> String {
    let all: usize = runs.iter().map(|(text, _)| text.width()).sum();
    let to = from + ROOM;
    let mut out = String::new();
    let mut column = 0;
    for (text, same) in runs {
        let mut shown = String::new();
        for c in text.chars() {
            let width = c.width().unwrap_or(0);
            let is_cut = column == from && from > 0 || column + width > to || column + width == to && all > to;
            if column >= from && column < to {
                shown.push(if is_cut { '…' } else { c });
            }
            column += width;
        }
        if *same {
            out.push_str(&shown);
        } else if !shown.is_empty() {
            out.extend([open, &*shown, close]);
        }
    }
    out.trim_end().to_owned()
}

/// At most this many columns, and nothing that moves the cursor or turns the direction: an answer may hold anything.
pub(super) fn cut(text: &str, width: usize) -> String {
    let mut out = tame(text);
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

/// A text in which every character is seen and has a width of its own.
fn tame(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => '↵',
        '\t' => '⇥',
        c if c.is_control() || is_invisible(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Characters that join, separate or turn text around: no terminal agrees with another on their width.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
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

pub(super) fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_marked_in_its_surroundings() {
        let long = "lorem ipsum ".repeat(4);
        for (control, candidate, expected) in [
            ("price 10 EUR", "price 99 EUR", ["price [-10-] EUR", "price {+99+} EUR"]),
            ("n=a1; p=10;", "n=b2; p=99;", ["n=[-a1-]; p=[-10-];", "n={+b2+}; p={+99+};"]),
            // The kept texts of two values may be the same.
            ("bytes(5)", "bytes(5)", ["bytes(5)", "bytes(5)"]),
            ("one\n\ttwo", "one\n\tthree", ["one↵⇥[-two-]", "one↵⇥{+three+}"]),
            ("a", "a b", ["a", "a{+ b+}"]),
            (
                &format!("…{long}price 10 EUR {long}…"),
                &format!("…{long}price 99 EUR {long}…"),
                [
                    "… lorem ipsum price [-10-] EUR lorem ipsum lorem ipsum lorem ip…",
                    "… lorem ipsum price {+99+} EUR lorem ipsum lorem ipsum lorem ip…",
                ],
            ),
        ] {
            let found = marked(control, candidate, false);
            assert_eq!(found, expected, "{control:?} {candidate:?}");
            assert!(found.iter().all(|line| line.width() <= ROOM + 4), "{found:?}");
        }
        let [a, b] = marked(&"x".repeat(500), &format!("{}y", "x".repeat(300)), false);
        assert!(a.contains("[-") && b.contains("y+}"), "{a}\n{b}");
        let sides = side_lines(Some(""), Some("no such"), false);
        assert_eq!(sides, ["      monolith  (empty)", "      service   {+no such+}"]);
        assert_eq!(marked("a 1", "a 2", true), ["a \u{1b}[31m1\u{1b}[0m", "a \u{1b}[32m2\u{1b}[0m"]);
    }
}
