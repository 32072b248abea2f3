//! The metrics in the bytes that a collector reads: cumulative sums, gauges and histograms, under the names that the page has.

use prometheus::proto::{Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::protobuf::Message;
use super::span::Attributes;

/// `ScopeMetrics.metrics`: the number that spans have in their scope, too.
const METRICS: u32 = 2;
const CUMULATIVE: u64 = 2;
/// Collectors take 4 MiB at most by default.
const LARGEST_BATCH: usize = 1024 * 1024;
/// Points of one metric in one message; more are said to be of the same name again.
const MOST_POINTS: usize = 500;

/// When the counting began, and when it was read; nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) began: u64,
    pub(super) now: u64,
}

/// The metrics of all families, in as many batches as a collector takes.
pub(super) fn batches(families: &[MetricFamily], span: Span) -> Vec<Vec<u8>> {
    let mut batches = vec![Vec::new()];
    for family in families {
        for points in family.get_metric().chunks(MOST_POINTS) {
            if batches.last().is_some_and(|batch| batch.len() >= LARGEST_BATCH) {
                batches.push(Vec::new());
            }
            if let Some(batch) = batches.last_mut() {
                write(batch, family, points, span);
            }
        }
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

fn write(bytes: &mut Vec<u8>, family: &MetricFamily, points: &[Metric], span: Span) {
    let name = family.name();
    Message::new(bytes).message(METRICS, |metric| {
        metric.text(1, name.as_bytes());
        metric.text(2, family.help().as_bytes());
        metric.text(3, unit(name).as_bytes());
        match family.get_field_type() {
            MetricType::COUNTER => metric.message(7, |sum| {
                for point in points {
                    number(sum, point.get_label(), point.get_counter().get_value(), span);
                }
                sum.varint(2, CUMULATIVE);
                sum.varint(3, 1);
            }),
            MetricType::HISTOGRAM => metric.message(9, |histograms| {
                for point in points {
                    histogram(histograms, point.get_label(), point.get_histogram(), span);
                }
                histograms.varint(2, CUMULATIVE);
            }),
            MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => metric.message(5, |gauge| {
                for point in points {
                    number(gauge, point.get_label(), point.get_gauge().get_value(), span);
                }
            }),
        }
    });
}

fn number(message: &mut Message<'_>, labels: &[LabelPair], value: f64, span: Span) {
    message.message(1, |point| {
        point.fixed64(2, span.began);
        point.fixed64(3, span.now);
        point.fixed64(4, value.to_bits());
        attributes(point, 7, labels);
    });
}

fn histogram(message: &mut Message<'_>, labels: &[LabelPair], histogram: &Histogram, span: Span) {
    let finite = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let (mut counts, mut bounds, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in finite {
        let count = bucket.cumulative_count().saturating_sub(below);
        below = bucket.cumulative_count();
        counts.extend_from_slice(&count.to_le_bytes());
        bounds.extend_from_slice(&bucket.upper_bound().to_le_bytes());
    }
    counts.extend_from_slice(&histogram.get_sample_count().saturating_sub(below).to_le_bytes());
    message.message(1, |point| {
        point.fixed64(2, span.began);
        point.fixed64(3, span.now);
        point.fixed64(4, histogram.get_sample_count());
        point.fixed64(5, histogram.get_sample_sum().to_bits());
        point.bytes(6, &counts);
        point.bytes(7, &bounds);
        attributes(point, 9, labels);
    });
}

fn attributes(point: &mut Message<'_>, field: u32, labels: &[LabelPair]) {
    let mut attributes = Attributes { message: point, field };
    for label in labels {
        attributes.text(label.name(), label.value().as_bytes());
    }
}

/// The unit in the letters of UCUM, as OpenTelemetry wants it.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit_once('_') {
        Some((_, "seconds")) => "s",
        Some((_, "bytes")) => "By",
        Some((_, "ratio")) => "1",
        _ => "",
    }
}
