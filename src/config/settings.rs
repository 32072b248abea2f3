//! The small tables: matching, limits, timeouts, logs, tracing, inventory, metrics.

use std::time::Duration;

use super::list::Item;
use super::table::table;
use super::{ByteRate, Count, Limit, LogFormat, PathCase, Percent, Size, Streams, TrailingSlash};

table! {
    /// How paths are compared.
    pub struct Matching {
        /// Take `//` as `/`. Default: true.
        merge_slashes: bool,
        /// Whether case counts. Default: `"sensitive"`.
        case: PathCase,
        /// Whether `/a` and `/a/` differ. Default: `"strict"`.
        trailing_slash: TrailingSlash,
    }
}

table! {
    /// Limits of what a client may ask. `0` or `"none"` is no limit.
    pub struct Limits {
        /// Request line and headers together; more is 431. Default: `"16KiB"`.
        request_head: Limit<Size>,
        /// Number of headers; more is 431. Default: 100.
        headers: Limit<Count>,
        /// Size of a request body; more is 413. Default: none.
        body: Limit<Size>,
        /// Open connections in total. Default: 10000.
        connections: Limit<Count>,
        /// Open connections of one client. Default: none.
        connections_per_client: Limit<Count>,
        /// Requests over one connection of HTTP/1; the last answer says so and ends it. Default: none.
        requests_per_connection: Limit<Count>,
        /// Requests at once on a connection of HTTP/2, at most 1000; one more is refused and may be sent again. Default: 100.
        http2_streams: Streams,
        /// From the accept or the first byte to the end of the head. Default: `"10s"`.
        header_timeout: Limit<Duration>,
        /// Longest pause while a body is read. Default: `"30s"`.
        body_timeout: Limit<Duration>,
        /// Longest pause while an answer is written. Default: `"60s"`.
        write_timeout: Limit<Duration>,
        /// Of bodies and of answers being read, after the first 10 s. Default: `"240B/s"`.
        min_rate: Limit<ByteRate>,
        /// Keep-alive between requests. Default: `"75s"`.
        idle_timeout: Limit<Duration>,
        /// Tunnels and event streams without a byte in either direction; a minute once one end of a tunnel has said its end.
        /// Default: `"1h"`.
        upgraded_idle: Limit<Duration>,
        /// All bodies on disk together; what finds no room streams on. Default: `"1GiB"`.
        buffer_disk: Limit<Size>,
    }
}

table! {
    /// How long upstreams may take. `0` or `"none"` is no limit.
    pub struct Timeouts {
        /// To a connection. Default: `"2s"`.
        connect: Limit<Duration>,
        /// To the first byte of the answer; then 504. Default: `"60s"`.
        answer: Limit<Duration>,
        /// Longest pause inside an answer. Default: `"60s"`.
        idle: Limit<Duration>,
        /// From the first attempt at the upstream to the last byte of its answer; the fallback has its own, event streams and
        /// tunnels have none. Default: none.
        total: Limit<Duration>,
    }
}

table! {
    /// The access log.
    pub struct Logs {
        /// The form of a line; `"off"`: no access log. Default: `"json"`.
        format: LogFormat,
        /// `"stdout"`, `"stderr"` or a path. Default: `"stdout"`.
        output: String,
        /// Of answers below 400; the others are always written. Default: `"100%"`.
        sample: Percent,
    }
}

table! {
    /// Where spans are sent.
    pub struct Tracing {
        /// An OTLP collector: `http://…` or, for gRPC, `grpc://…` (`https`, `grpcs` with TLS). Default: none.
        otlp: String,
        /// Share of traces that are recorded. Default: `"1%"`.
        sample: Percent,
    }
}

table! {
    /// The endpoints that are learned from traffic.
    pub struct Inventory {
        /// Whether requests are learned from. Default: true.
        learn: bool,
        /// Paths whose segments are words, whatever the traffic looks like: `["/users/export"]`. Default: none.
        literal: Vec<Item<String>>,
        /// Templates whose parameters take every word: `["/blog/{slug}"]`. Default: none.
        parameter: Vec<Item<String>>,
        /// How long the monolith must not have answered a migrated route before its retirement is proposed. Default: `"14d"`.
        retire_after: Duration,
    }
}

table! {
    /// The metrics.
    pub struct Metrics {
        /// Upper bounds of the latency histograms, in seconds, rising. Default: 18 bounds, from 0.0002 to 60.
        buckets: Vec<Item<f64>>,
        /// An OTLP collector that gets the metrics of `/metrics`, too: `http://…` or, for gRPC, `grpc://…` (`https`, `grpcs` with TLS),
        /// every minute or as `OTEL_METRIC_EXPORT_INTERVAL` (in milliseconds) says. Default: none.
        otlp: String,
    }
}
