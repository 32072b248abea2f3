//! Charts, drawn on the server as SVG. Widths are attributes: the policy of the pages forbids inline styles.

use maud::{Markup, html};

use super::shown;

/// A line of counts without axes.
pub fn spark(counts: &[u64], (width, height): (f64, f64), class: &str) -> Markup {
    // Before the first request there is no line, not one at nothing.
    let first = counts.iter().position(|count| *count > 0).unwrap_or(counts.len());
    let values: Vec<Option<f64>> = (0..).zip(counts).map(|(at, count)| (at >= first).then(|| float(*count))).collect();
    let most = counts.iter().copied().max().map_or(0.0, float).max(1.0);
    let lines = polylines(&values, most, (0.0, 2.0), (width, height - 4.0));
    html! {
        svg width=(width) height=(height) aria-hidden="true" {
            @for points in lines { polyline class=(class) points=(points) {} }
        }
    }
}

/// Who answers: the service's share in blue, the monolith's in amber.
pub fn share(service: f64, width: f64) -> Markup {
    let service = service.clamp(0.0, 1.0);
    shares(&[("se", service, "service"), ("mo", 1.0 - service, "monolith")], width)
}

/// The parts of a whole side by side: class, share and name of each.
pub fn shares(parts: &[(&str, f64, &str)], width: f64) -> Markup {
    const GAP: f64 = 2.0;
    let label: Vec<_> =
        parts.iter().map(|(_, share, name)| format!("{name} {}", shown::large_percent(*share))).collect();
    let drawn: Vec<_> = parts.iter().filter(|(_, share, _)| *share > 0.0).collect();
    let (mut sum, mut from) = (0.0, 0.0);
    let mut areas = Vec::new();
    for (at, (class, share, _)) in drawn.iter().enumerate() {
        sum += share;
        // A small part is seen, too, whichever comes first.
        let later = 2.0 * GAP * float((drawn.len() - at - 1) as u64);
        let wide = ((sum * width).round() - from).min(width - from - later).max(GAP);
        areas.push((class, from, wide));
        from += wide + GAP;
    }
    html! {
        svg width=(width) height="8" role="img" aria-label=(shown::plain(&label.join(", "))) {
            @for (class, x, wide) in &areas { rect class=(class) x=(x) width=(wide) height="8" rx="4" {} }
        }
    }
}

/// Two rates one above the other: how often a field differs, and how often the monolith differs from itself.
pub fn rates(raw: f64, noise: f64, counts: bool) -> Markup {
    let wide = |share: f64| (share.clamp(0.0, 1.0) * 148.0).max(if share > 0.0 { 2.0 } else { 0.0 });
    html! {
        svg width="148" height="14" aria-hidden="true" {
            rect class="tr" width="148" height="14" rx="3" {}
            rect class=(if counts { "rb" } else { "gn" }) width=(wide(raw)) height="7" rx="2" {}
            rect class="mo" y="7" width=(wide(noise)) height="7" rx="2" {}
        }
    }
}

/// How many routes are in each stage.
pub fn stages(counts: &[(&'static str, usize)]) -> Markup {
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let used: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
    let room = 1000.0 - 4.0 * float(u64::try_from(used.len().saturating_sub(1)).unwrap_or(0));
    let label: Vec<_> = used.iter().map(|(stage, count)| format!("{count} in {stage}")).collect();
    let mut at = 0.0;
    let mut parts = Vec::new();
    for (stage, count) in used {
        let wide = room * float(*count as u64) / float(all.max(1) as u64);
        parts.push((format!("x-{stage}"), format!("{at:.1}"), format!("{wide:.1}")));
        at += wide + 4.0;
    }
    html! {
        svg width="100%" viewBox="0 0 1000 10" preserveAspectRatio="none" height="10" role="img"
            aria-label=(format!("routes: {}", label.join(", "))) {
            @for (class, x, wide) in &parts { rect class=(class) x=(x) width=(wide) height="10" rx="3" {} }
        }
    }
}

/// A vertical mark in a chart: how far from the left (0.0 to 1.0), and what it says.
pub struct Mark {
    pub at: f64,
    pub word: String,
}

/// The line of one side: its classes, and its times in seconds.
pub type Line = (&'static str, Vec<Option<f64>>);

/// The times of all sides over an hour, in milliseconds, with the moves marked.
pub fn times(lines: &[Line], ends: (&str, &str), marks: &[Mark]) -> Markup {
    let (left, top, width, height) = (40.0, 12.0, 422.0, 118.0);
    let most = lines.iter().flat_map(|(_, times)| times).flatten().copied().fold(0.0, f64::max).max(0.001) * 1.08;
    let place = |line: &[Option<f64>]| polylines(line, most, (left, top), (width, height));
    let steps = [0.0_f64, 1.0, 2.0, 3.0];
    html! {
        svg width="100%" viewBox="0 0 470 150" role="img" aria-label="99th percentile of each side over the last hour" {
            @for step in steps {
                @let y = top + height * (1.0 - step / 3.0);
                line class="gr" x1=(left) x2=(left + width) y1=(format!("{y:.1}")) y2=(format!("{y:.1}")) {}
                text x=(left - 6.0) y=(format!("{:.1}", y + 3.0)) text-anchor="end" { (milliseconds(most * step / 3.0)) }
            }
            @for (mark, row) in marks.iter().zip(rows(marks, left, width)) {
                @let x = left + width * mark.at.clamp(0.0, 1.0);
                @let (side, shift) = if mark.at > 0.8 { ("end", -4.0) } else { ("start", 4.0) };
                line class="mv" x1=(format!("{x:.1}")) x2=(format!("{x:.1}")) y1="6" y2=(top + height) {}
                @if let Some(row) = row { text x=(format!("{:.1}", x + shift)) y=(10 + 11 * row) text-anchor=(side) { (mark.word) } }
            }
            @for (class, times) in lines { @for points in place(times) { polyline class=(class) points=(points) {} } }
            text x=(left) y="146" { (ends.0) }
            text x=(left + width) y="146" text-anchor="end" { (ends.1) }
        }
    }
}

/// Rows for the words of marks, one below the other.
const ROWS: usize = 3;
/// A letter's width, with some room.
const LETTER: f64 = 6.5;

/// The row of each mark's word, so that no two lie on each other; `None`: there is no room, and the line stands alone.
fn rows(marks: &[Mark], left: f64, width: f64) -> Vec<Option<usize>> {
    let mut taken: [Vec<(f64, f64)>; ROWS] = Default::default();
    let row = |mark: &Mark| {
        let x = left + width * mark.at.clamp(0.0, 1.0);
        let wide = LETTER * float(mark.word.chars().count() as u64) + 8.0;
        let (from, until) = if mark.at > 0.8 { (x - wide, x) } else { (x, x + wide) };
        let free = taken.iter().position(|row| row.iter().all(|(start, end)| until <= *start || *end <= from))?;
        taken[free].push((from, until));
        Some(free)
    };
    marks.iter().map(row).collect()
}

fn milliseconds(seconds: f64) -> String {
    let value = seconds * 1e3;
    if value == 0.0 || value >= 9.95 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// One line for each run of values without a gap; a value alone is a short line.
fn polylines(values: &[Option<f64>], most: f64, (left, top): (f64, f64), (width, height): (f64, f64)) -> Vec<String> {
    let step = width / float(values.len().saturating_sub(1).max(1) as u64);
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    for (at, value) in (0_u64..).zip(values) {
        if let Some(value) = value {
            let x = left + step * float(at);
            line.push((x, top + height * (1.0 - value / most)));
        } else if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
    }
    lines.push(line);
    let written = |mut line: Vec<(f64, f64)>| {
        if let [(x, y)] = line[..] {
            line = vec![(x - 1.0, y), (x + 1.0, y)];
        }
        line.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
    };
    lines.into_iter().filter(|line| !line.is_empty()).map(written).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a place in a drawing")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_breaks_the_line_and_nothing_is_drawn_of_nothing() {
        let lines = polylines(&[Some(1.0), Some(2.0), None, Some(2.0)], 2.0, (0.0, 0.0), (3.0, 10.0));
        assert_eq!(lines, ["0.0,5.0 1.0,0.0", "2.0,0.0 4.0,0.0"]);
        assert!(polylines(&[None, None], 1.0, (0.0, 0.0), (3.0, 10.0)).is_empty());
    }

    #[test]
    fn words_of_moves_that_follow_each_other_closely_do_not_lie_on_each_other() {
        let mark = |at: f64| Mark { at, word: "25%".to_owned() };
        let rows = |at: &[f64]| rows(&at.iter().copied().map(mark).collect::<Vec<_>>(), 40.0, 422.0);
        assert_eq!(rows(&[0.1, 0.5, 0.9]), [Some(0), Some(0), Some(0)]);
        assert_eq!(rows(&[0.5, 0.51, 0.52, 0.53]), [Some(0), Some(1), Some(2), None]);
        // One word stands to the left of its line, the other to the right.
        assert_eq!(rows(&[0.81, 0.79]), [Some(0), Some(1)]);
    }

    #[test]
    fn a_share_says_in_words_what_it_draws() {
        let text = share(0.25, 120.0).into_string();
        assert!(text.contains("service 25\u{a0}%, monolith 75\u{a0}%") && !text.contains("style="), "{text}");
        assert!(!share(1.0, 120.0).into_string().contains("class=\"mo\""));
    }

    #[test]
    fn a_small_part_of_a_whole_is_seen_wherever_it_stands() {
        for (parts, expected) in [
            ([("mo", 0.999), ("se", 0.001)], ["x=\"0\" width=\"116\"", "x=\"118\" width=\"2\""]),
            ([("mo", 0.001), ("se", 0.999)], ["x=\"0\" width=\"2\"", "x=\"4\" width=\"116\""]),
        ] {
            let parts = parts.map(|(class, share)| (class, share, "a"));
            let drawn = shares(&parts, 120.0).into_string();
            assert!(expected.iter().all(|part| drawn.contains(part)), "{drawn}");
        }
    }

    #[test]
    fn each_side_has_a_line_of_its_own() {
        let lines = [("li lm", vec![Some(0.1); 3]), ("li ls", vec![None; 3]), ("li v2", vec![Some(0.2); 3])];
        let drawn = times(&lines, ("a", "b"), &[]).into_string();
        assert!(drawn.matches("<polyline").count() == 2 && drawn.contains("<polyline class=\"li v2\""), "{drawn}");
    }
}
