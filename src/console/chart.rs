//! How fast the sides of a route were over the last hour, with its moves marked.

use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, html};

use super::page::Layout;
use super::shown::{plain, seconds, span};
use super::sides::{is_copied, p99, sides};
use super::spark::{self, Mark};
use crate::admin::{RouteSide, RouteStatus, Window};
use crate::gate::JournalEntry;
use crate::proxy::RouteInForce;

/// An hour in minutes; of a younger program less, in shorter steps.
const STEPS: usize = 60;
const STEP: Duration = Duration::from_secs(60);
const SHORTEST_STEP: Duration = Duration::from_secs(5);

pub fn chart(frame: &Layout<'_>, entry: &RouteInForce, row: &RouteStatus, moves: &[JournalEntry]) -> Markup {
    let now = Window::default().now;
    let step = (frame.parts.app.live.uptime(now) / 60).clamp(SHORTEST_STEP, STEP);
    let line = |side: &RouteSide| {
        if is_copied(row, side) {
            return entry.meters.copies_p99_by_span(now, step, STEPS);
        }
        entry.meters.p99_by_span(side.meter, now, step, STEPS)
    };
    let lines: Vec<spark::Line> = sides(row).map(|(side, tone)| (tone.line, line(side))).collect();
    let (end, hour) = (Timestamp::now(), (step * 60).as_secs_f64());
    let mark = |made: &JournalEntry| {
        let at: Timestamp = made.at.parse().ok()?;
        let past = end.duration_since(at).as_secs_f64();
        let to = made.to.as_ref()?;
        let word = to.weight.clone().unwrap_or_else(|| to.stage.to_owned());
        (past < hour && made.from != made.to).then(|| Mark { at: 1.0 - past / hour, word })
    };
    let marks: Vec<Mark> = moves.iter().filter_map(mark).take(6).collect();
    let start = end - step * 60;
    let p99 = |side: &RouteSide| p99(row, side).map_or_else(|| "–".to_owned(), seconds);
    let ago = span(hour);
    let ends = [start, end].map(|at| at.strftime("%H:%M").to_string());
    html! {
        section.card #chart data-live aria-labelledby="chart-h" {
            div.h {
                h2 #chart-h { "p99, ms" } span.grow {}
                span.legend {
                    @for (side, tone) in sides(row) { span class=(tone.legend) { (plain(&side.name)) @if row.copies_p99.is_some() && is_copied(row, side) { ", copies" } " " (p99(side)) } }
                }
            }
            div.pad { (spark::times(&lines, &ago, (&ends[0], &ends[1]), &marks)) }
        }
    }
}
