//! The small tables, with their defaults.

use std::time::Duration;

use super::draft::Draft;
use super::{AccessLog, Limits, LogFormat, LogOutput, Matching, TracingSettings};
use crate::config::{self, Field, Limit};
use crate::diagnostic::Code;
use crate::endpoint::{Buffering, OwnTimeout, OwnTimeouts, RequestBuffer, Timeouts};
use crate::migration::Percent;

/// From a millisecond to a minute, denser where a person notices the difference.
const DEFAULT_BUCKETS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

pub(super) fn percent(share: config::Percent) -> Percent {
    Percent::from_hundredths(share.0).expect("a share was read as at most 100 %")
}

pub(super) fn matching(file: &config::File) -> Matching {
    let default = Matching::default();
    let Some(matching) = file.matching.get() else { return default };
    Matching {
        merge_slashes: matching.merge_slashes.or(default.merge_slashes),
        case_insensitive: matching
            .case
            .get()
            .map_or(default.case_insensitive, |case| *case == config::PathCase::Insensitive),
        ignore_trailing_slash: matching
            .trailing_slash
            .get()
            .map_or(default.ignore_trailing_slash, |slash| *slash == config::TrailingSlash::Ignore),
    }
}

/// The limit in the file, else the default.
fn limit<T: Copy, U>(field: &Field<Limit<T>>, default: Option<U>, read: impl Fn(T) -> U) -> Option<U> {
    match field.get() {
        Some(Limit(given)) => given.map(read),
        None => default,
    }
}

pub(super) fn limits(file: &config::File) -> Limits {
    let default = Limits::default();
    let Some(limits) = file.limits.get() else { return default };
    let time = |field, default| limit(field, default, |time: Duration| time);
    Limits {
        request_head: limit(&limits.request_head, default.request_head, |size| size.0),
        headers: limit(&limits.headers, default.headers, |count| count.0).filter(|count| *count > 0),
        body: limit(&limits.body, default.body, |size| size.0),
        connections: limit(&limits.connections, default.connections, |count| count.0),
        connections_per_client: limit(&limits.connections_per_client, default.connections_per_client, |count| count.0),
        requests_per_connection: limit(&limits.requests_per_connection, default.requests_per_connection, |count| {
            u32::try_from(count.0).unwrap_or(u32::MAX)
        })
        .filter(|count| *count > 0),
        http2_streams: limits.http2_streams.get().map_or(default.http2_streams, |streams| streams.0),
        header_timeout: time(&limits.header_timeout, default.header_timeout),
        body_timeout: time(&limits.body_timeout, default.body_timeout),
        write_timeout: time(&limits.write_timeout, default.write_timeout),
        min_rate: limit(&limits.min_rate, default.min_rate, |rate| rate.0),
        idle_timeout: time(&limits.idle_timeout, default.idle_timeout),
        upgraded_idle: time(&limits.upgraded_idle, default.upgraded_idle),
        buffer_disk: limit(&limits.buffer_disk, default.buffer_disk, |size| size.0),
    }
}

/// `[timeouts]`, or a table of an upstream's own over it.
pub(super) fn timeouts(field: &Field<config::Timeouts>, base: Timeouts) -> Timeouts {
    let Some(timeouts) = field.get() else { return base };
    let time = |field, base| limit(field, base, |time: Duration| time);
    Timeouts {
        connect: time(&timeouts.connect, base.connect),
        answer: time(&timeouts.answer, base.answer),
        idle: time(&timeouts.idle, base.idle),
        total: time(&timeouts.total, base.total),
    }
}

/// `timeouts` of a route, over those of whichever upstream is asked.
pub(super) fn own_timeouts(field: &Field<Box<config::Timeouts>>) -> Option<OwnTimeouts> {
    let timeouts = field.get()?;
    let time = |field: &Field<Limit<Duration>>| match field.get() {
        None => OwnTimeout::Upstream,
        Some(Limit(None)) => OwnTimeout::Unlimited,
        Some(Limit(Some(time))) => OwnTimeout::After(*time),
    };
    Some(OwnTimeouts {
        connect: time(&timeouts.connect),
        answer: time(&timeouts.answer),
        idle: time(&timeouts.idle),
        total: time(&timeouts.total),
    })
}

/// `buffer` of a route or an upstream.
pub(super) fn buffer(field: &Field<config::Buffer>) -> Buffering {
    let Some(buffer) = field.get() else { return Buffering::default() };
    Buffering {
        request: buffer.request.get().map(|request| match request {
            config::RequestBuffer::Auto => RequestBuffer::Auto,
            config::RequestBuffer::None => RequestBuffer::None,
            config::RequestBuffer::Size(size) => RequestBuffer::Size(size.0),
        }),
        response: buffer.answer.get().map(|answer| answer.0.map_or(0, |size| size.0)),
    }
}

pub(super) const DEFAULT_TIMEOUTS: Timeouts = Timeouts {
    connect: Some(Duration::from_secs(2)),
    answer: Some(Duration::from_secs(60)),
    idle: Some(Duration::from_secs(60)),
    total: None,
};

pub(super) fn logs(file: &config::File) -> AccessLog {
    let empty = config::Logs::default();
    let logs = file.logs.get().unwrap_or(&empty);
    AccessLog {
        format: match logs.format.get() {
            None | Some(config::LogFormat::Json) => LogFormat::Json,
            Some(config::LogFormat::Common) => LogFormat::Common,
            Some(config::LogFormat::Combined) => LogFormat::Combined,
            Some(config::LogFormat::Off) => LogFormat::Off,
        },
        output: match logs.output.get().map(String::as_str) {
            None | Some("stdout") => LogOutput::Stdout,
            Some("stderr") => LogOutput::Stderr,
            Some(path) => LogOutput::File(path.into()),
        },
        sample: logs.sample.get().map_or(Percent::EVERYBODY, |share| percent(*share)),
    }
}

pub(super) fn tracing(file: &config::File, draft: &mut Draft<'_>) -> TracingSettings {
    let empty = config::Tracing::default();
    let tracing = file.tracing.get().unwrap_or(&empty);
    TracingSettings {
        otlp: collector(&tracing.otlp, draft),
        sample: tracing.sample.get().map_or_else(|| percent(config::Percent(100)), |share| percent(*share)),
    }
}

/// `[metrics] otlp`.
pub(super) fn metrics_otlp(file: &config::File, draft: &mut Draft<'_>) -> Option<Box<str>> {
    collector(&file.metrics.get()?.otlp, draft)
}

fn collector(otlp: &Field<String>, draft: &mut Draft<'_>) -> Option<Box<str>> {
    if let Some(given) = otlp.given()
        && !is_collector(&given.value)
    {
        let help = "write it like `otlp = \"http://127.0.0.1:4318\"`, or for gRPC `otlp = \"grpc://127.0.0.1:4317\"`";
        draft.say(
            Code::InvalidUrl,
            given.span.clone(),
            format!("`{}` is not the URL of a collector", given.value),
            "not a URL",
            help,
        );
    }
    otlp.get().map(|url| url.as_str().into())
}

pub(super) fn copy_cpu(file: &config::File, draft: &mut Draft<'_>) -> Option<Percent> {
    let given = file.shadow.get()?.cpu.given()?;
    if given.value.0 == 0 {
        draft.say(
            Code::OutOfRange,
            given.span.clone(),
            "with none of the processor nothing is ever copied",
            "no share",
            "write a share like `cpu = \"25%\"`; a route that is not to be copied says `sample = \"0%\"` or has another stage",
        );
    }
    Some(percent(given.value))
}

/// OTLP over HTTP or over gRPC, each with or without TLS.
fn is_collector(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https" | "grpc" | "grpcs"))
            && uri.host().is_some_and(|host| !host.is_empty())
    })
}

pub(super) fn buckets(file: &config::File, draft: &mut Draft<'_>) -> Vec<f64> {
    let Some(given) = file.metrics.get().and_then(|metrics| metrics.buckets.given()) else {
        return DEFAULT_BUCKETS.to_vec();
    };
    let bounds: Vec<f64> = given.value.iter().map(|item| item.value).collect();
    let wrong = given
        .value
        .iter()
        .zip(std::iter::once(0.0).chain(bounds.iter().copied()))
        .find(|(item, before)| item.value <= *before);
    if let Some((item, _)) = wrong {
        draft.say(
            Code::OutOfRange,
            item.span.clone(),
            "the bounds of the histograms must be above 0 and rise",
            "not above the one before",
            "sort them, in seconds: `buckets = [0.005, 0.05, 0.5, 5.0]`",
        );
    } else if bounds.is_empty() {
        draft.say(
            Code::OutOfRange,
            given.span.clone(),
            "the histograms need at least one bound",
            "empty",
            "remove `buckets` for the defaults, or write `buckets = [0.005, 0.05, 0.5, 5.0]`",
        );
    }
    bounds
}
