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

/// The sides' shares: the service's in blue, the monolith's in amber.
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

/// The times of all sides over the last `span`, in milliseconds, with the moves marked. Their words stand above the lines of the
/// times.
pub fn times(lines: &[Line], span: &str, ends: (&str, &str), marks: &[Mark]) -> Markup {
    let (left, width, bottom) = (40.0, 422.0, 130.0);
    let words = words(marks, left, width);
    let rows = words.iter().flatten().map(|word| word.row + 1).max().unwrap_or(1);
    let top = 1.0 + ROW * float(rows as u64);
    let height = bottom - top;
    let most = lines.iter().flat_map(|(_, times)| times).flatten().copied().fold(0.0, f64::max).max(0.001) * 1.08;
    let place = |line: &[Option<f64>]| polylines(line, most, (left, top), (width, height));
    let steps = [0.0_f64, 1.0, 2.0, 3.0];
    html! {
        svg width="100%" viewBox="0 0 470 150" role="img" aria-label={ "99th percentile of each side over the last " (span) } {
            @for step in steps {
                @let y = top + height * (1.0 - step / 3.0);
                line class="gr" x1=(left) x2=(left + width) y1=(format!("{y:.1}")) y2=(format!("{y:.1}")) {}
                text x=(left - 6.0) y=(format!("{:.1}", y + 3.0)) text-anchor="end" { (milliseconds(most * step / 3.0)) }
            }
            @for (mark, word) in marks.iter().zip(&words) {
                @let x = left + width * mark.at.clamp(0.0, 1.0);
                @let begins = word.as_ref().map_or(top, |word| ROW * float(word.row as u64) + 3.0);
                line class="mv" x1=(format!("{x:.1}")) x2=(format!("{x:.1}")) y1=(begins) y2=(bottom) {}
                @if let Some(word) = word {
                    @let (side, shift) = if word.is_before { ("end", -4.0) } else { ("start", 4.0) };
                    text x=(format!("{:.1}", x + shift)) y=(begins + 7.0) text-anchor=(side) { (mark.word) }
                }
            }
            @for (class, times) in lines { @for points in place(times) { polyline class=(class) points=(points) {} } }
            text x=(left) y="146" { (ends.0) }
            text x=(left + width) y="146" text-anchor="end" { (ends.1) }
        }
    }
}

/// Rows for the words of marks, one below the other, and how high one is.
const ROWS: usize = 3;
const ROW: f64 = 11.0;
/// A letter's width, with some room.
const LETTER: f64 = 6.5;

/// Where the word of a mark stands. Its line begins beside it.
#[derive(Debug, PartialEq)]
struct Word {
    row: usize,
    /// To the left of the line: there is no room to the right.
    is_before: bool,
}

/// The places of the words, so that no word lies on another or on the line of another mark; `None`: there is no such place, and the
/// line stands alone.
fn words(marks: &[Mark], left: f64, width: f64) -> Vec<Option<Word>> {
    let x = |mark: &Mark| left + width * mark.at.clamp(0.0, 1.0);
    let wide = |mark: &Mark| LETTER * float(mark.word.chars().count() as u64) + 8.0;
    let is_before = |mark: &Mark| x(mark) + wide(mark) > left + width + 8.0;
    // Away from the edge that their words run to: the line of the next one ends below the words of those before.
    let mut order: Vec<usize> = (0..marks.len()).collect();
    let key = |at: &usize| if is_before(&marks[*at]) { (0, -x(&marks[*at])) } else { (1, x(&marks[*at])) };
    order.sort_by(|one, other| key(one).0.cmp(&key(other).0).then(key(one).1.total_cmp(&key(other).1)));
    // Row, x of the line, and from where to where the word goes.
    let mut taken: Vec<(usize, f64, f64, f64)> = Vec::new();
    let mut words: Vec<Option<Word>> = marks.iter().map(|_| None).collect();
    for at in order {
        let (x, wide, is_before) = (x(&marks[at]), wide(&marks[at]), is_before(&marks[at]));
        let (from, until) = if is_before { (x - wide, x) } else { (x, x + wide) };
        let is_free = |row: &usize| {
            taken.iter().all(|(other, line, start, end)| {
                let words_meet = other == row && from < *end && *start < until;
                let is_crossed = other <= row && from < *line && *line < until;
                let crosses = row <= other && *start < x && x < *end;
                !words_meet && !is_crossed && !crosses
            })
        };
        if let Some(row) = (0..ROWS).find(is_free) {
            taken.push((row, x, from, until));
            words[at] = Some(Word { row, is_before });
        }
    }
    words
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
        let marks = |at: &[f64]| at.iter().map(|at| Mark { at: *at, word: "25%".to_owned() }).collect::<Vec<_>>();
        let rows =
            |at: &[f64]| words(&marks(at), 40.0, 422.0).into_iter().map(|word| Some(word?.row)).collect::<Vec<_>>();
        assert_eq!(rows(&[0.1, 0.5, 0.9]), [Some(0), Some(0), Some(0)]);
        // The newest comes first, and the word of the oldest stands above the line of the next.
        assert_eq!(rows(&[0.53, 0.52, 0.51, 0.5]), [None, Some(2), Some(1), Some(0)]);
        // At the edge words stand to the left of their lines.
        assert_eq!(rows(&[0.99, 0.98]), [Some(0), Some(1)]);
        let drawn =
            |at: &[f64]| times(&[("li lm", vec![Some(0.1)])], "60 min", ("13:00", "14:00"), &marks(at)).into_string();
        let begins = |text: &str| text.matches("class=\"mv\"").count();
        assert_eq!(begins(&drawn(&[0.53, 0.52, 0.51, 0.5])), 4, "a mark without a word has its line");
        // Three rows of words leave less room to the lines of the times, which begin below them.
        assert!(drawn(&[0.5]).contains("y1=\"12.0\"") && drawn(&[0.52, 0.51, 0.5]).contains("y1=\"34.0\""));
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
        let drawn = times(&lines, "5 min", ("a", "b"), &[]).into_string();
        assert!(drawn.contains("over the last 5 min\""), "{drawn}");
        assert!(drawn.matches("<polyline").count() == 2 && drawn.contains("<polyline class=\"li v2\""), "{drawn}");
    }
}
