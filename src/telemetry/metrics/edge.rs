//! Metrics of no route: refusals, connections, upstreams, the configuration in force.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::queue::QueueMeters;
use super::route::InFlight;
use super::words::Words;

/// Counters and gauges of the process. A meter with a label is asked for once and then held.
#[derive(Debug)]
pub struct EdgeMeters {
    pub(crate) refused: Words,
    pub(crate) in_flight: RwLock<BTreeMap<Arc<str>, Arc<AtomicI64>>>,
    pub(crate) upstreams: RwLock<BTreeMap<Arc<str>, Arc<UpstreamMeters>>>,
    connections: IntGaugeVec,
    log_lines_dropped: IntCounter,
    panics: IntCounter,
    monolith_only: IntGauge,
    journal_broken: IntGauge,
    journal_errors: IntCounter,
    fleet_members: IntGaugeVec,
    fleet_leader: IntGaugeVec,
    fleet_up: IntGaugeVec,
    fleet_database: IntGaugeVec,
    inventory_endpoints: IntGaugeVec,
    inventory_dropped: IntCounter,
    config_generation: IntGauge,
    config_last_reload: Gauge,
    config_reloads: IntCounterVec,
    notified: IntCounterVec,
    certificates: IntGaugeVec,
    certificates_shown: Mutex<Vec<Box<str>>>,
    /// Set once spans are sent at all: without a collector there is no series.
    pub(crate) spans_dropped: OnceLock<AtomicU64>,
    /// Sent, and dropped.
    pub(crate) cloud_events: OnceLock<[AtomicU64; 2]>,
}

/// The rules and limits that refuse requests; each has its series from the start. Others appear when they first refuse.
pub(crate) const REFUSALS: [&str; 31] = [
    "auth",
    "body",
    "body_timeout",
    "connection",
    "connections",
    "connections_per_client",
    "content_length",
    "descriptors",
    "framing",
    "header_timeout",
    "headers",
    "host",
    "http2_flood",
    "http2_streams",
    "keys",
    "line_ending",
    "method",
    "min_rate",
    "path",
    "proxy_protocol",
    "rate_limit",
    "redirect",
    "request_head",
    "revoked",
    "target",
    "tls_handshake",
    "token",
    "transfer_encoding",
    "unrouted",
    "upgrade",
    "write_timeout",
];
pub(crate) const RETRIES: [&str; 2] = ["connect", "reset"];

/// The meters of one upstream.
#[derive(Debug, Default)]
pub struct UpstreamMeters {
    pub(crate) retries: Words,
    pub(crate) endpoints: Mutex<Option<EndpointCounts>>,
    /// `None`: its endpoints are not discovered.
    pub(crate) discovery_up: Mutex<Option<bool>>,
    /// `None`: no limit of requests at once.
    pub(crate) queue: Mutex<Option<Arc<QueueMeters>>>,
}

/// How many endpoints an upstream has in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointCounts {
    pub healthy: usize,
    pub unhealthy: usize,
    pub draining: usize,
    pub starting: usize,
    pub unchecked: usize,
    pub failing: usize,
}

impl UpstreamMeters {
    /// Another endpoint of the upstream is asked because one failed.
    pub fn retry(&self, reason: &'static str) {
        self.retries.count(reason);
    }

    pub fn set_endpoints(&self, counts: EndpointCounts) {
        *self.endpoints.lock() = Some(counts);
    }

    pub fn set_discovery_up(&self, up: bool) {
        *self.discovery_up.lock() = Some(up);
    }
}

impl EdgeMeters {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace("multilith");
        let connections =
            IntGaugeVec::new(opts("connections", "Open connections of clients, by listener."), &["listener"])?;
        let log_lines_dropped = IntCounter::with_opts(opts(
            "log_lines_dropped_total",
            "Access log lines that were dropped because the output did not keep up or failed.",
        ))?;
        let panics = IntCounter::with_opts(opts(
            "panics_total",
            "Requests that ended in a panic: a bug, and 500 for one client.",
        ))?;
        let monolith_only = IntGauge::with_opts(opts(
            "monolith_only",
            "1 while the big red button is on: every route that is not retired goes to the monolith.",
        ))?;
        let journal_broken = IntGauge::with_opts(opts(
            "journal_broken",
            "1 while nothing can be kept below the state directory, and after a damaged database was moved aside.",
        ))?;
        let journal_errors =
            IntCounter::with_opts(opts("journal_errors_total", "Entries of the journal that could not be written."))?;
        // Without a label: there is a series only where there is a fleet.
        let alone = |name: &str, help: &str| IntGaugeVec::new(opts(name, help), &[]);
        let fleet_members = alone("fleet_members", "Replicas of the fleet that are listed, this one among them.")?;
        let fleet_leader = alone("fleet_leader", "1 on the replica that judges for the fleet.")?;
        let fleet_up = alone(
            "fleet_up",
            "1 while etcd of the fleet answers this replica; 0: the last dials stay in force, and gates hold.",
        )?;
        let fleet_database =
            alone("fleet_database_bytes", "Size of the database of etcd, as the leader of the fleet sees it.")?;
        let inventory_endpoints = IntGaugeVec::new(
            opts(
                "inventory_endpoints",
                "Endpoints learned from traffic: answered by the monolith within 30 days, moved, or silent for 30 days.",
            ),
            &["state"],
        )?;
        for state in ["monolith", "moved", "silent"] {
            inventory_endpoints.with_label_values(&[state]);
        }
        let inventory_dropped = IntCounter::with_opts(opts(
            "inventory_dropped_total",
            "Requests that the inventory did not look at: there was no room for them, or their path is too long.",
        ))?;
        let config_generation = IntGauge::with_opts(opts("config_generation", "Generation of the file in force."))?;
        let config_last_reload = Gauge::with_opts(opts(
            "config_last_reload_timestamp_seconds",
            "When a file was last put in force, in seconds since 1970.",
        ))?;
        let config_reloads =
            IntCounterVec::new(opts("config_reloads_total", "Reloads of the file, by result."), &["result"])?;
        let notified =
            IntCounterVec::new(opts("notify_total", "Notifications, by target and result."), &["name", "result"])?;
        let certificates = IntGaugeVec::new(
            opts(
                "certificate_expiry_timestamp_seconds",
                "When a certificate of the TLS listeners expires, in seconds since 1970, by the first name that it is for; 0: ordered, and not there yet.",
            ),
            &["name"],
        )?;
        let build_info = IntGaugeVec::new(
            opts("build_info", "Always 1; its labels say which build is running."),
            &["version", "revision"],
        )?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION"), revision()]).set(1);
        for result in ["applied", "unchanged", "refused"] {
            config_reloads.with_label_values(&[result]);
        }
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(log_lines_dropped.clone()))?;
        registry.register(Box::new(panics.clone()))?;
        registry.register(Box::new(monolith_only.clone()))?;
        registry.register(Box::new(journal_broken.clone()))?;
        registry.register(Box::new(journal_errors.clone()))?;
        for gauge in [&fleet_members, &fleet_leader, &fleet_up, &fleet_database] {
            registry.register(Box::new(gauge.clone()))?;
        }
        registry.register(Box::new(inventory_endpoints.clone()))?;
        registry.register(Box::new(inventory_dropped.clone()))?;
        registry.register(Box::new(config_generation.clone()))?;
        registry.register(Box::new(config_last_reload.clone()))?;
        registry.register(Box::new(config_reloads.clone()))?;
        registry.register(Box::new(notified.clone()))?;
        registry.register(Box::new(certificates.clone()))?;
        registry.register(Box::new(build_info))?;
        Ok(Self {
            refused: Words::default(),
            in_flight: RwLock::default(),
            upstreams: RwLock::default(),
            connections,
            log_lines_dropped,
            panics,
            monolith_only,
            journal_broken,
            journal_errors,
            fleet_members,
            fleet_leader,
            fleet_up,
            fleet_database,
            inventory_endpoints,
            inventory_dropped,
            config_generation,
            config_last_reload,
            config_reloads,
            notified,
            certificates,
            certificates_shown: Mutex::default(),
            spans_dropped: OnceLock::new(),
            cloud_events: OnceLock::new(),
        })
    }

    /// Nothing can be kept, or what was kept is lost.
    pub fn set_journal_broken(&self, broken: bool) {
        self.journal_broken.set(broken.into());
    }

    /// An entry of the journal could not be written.
    pub fn journal_error(&self) {
        self.journal_errors.inc();
    }

    /// This replica and the others.
    pub fn fleet(&self, members: usize, leads: bool, up: bool) {
        let none: &[&str] = &[];
        self.fleet_members.with_label_values(none).set(i64::try_from(members).unwrap_or(i64::MAX));
        self.fleet_leader.with_label_values(none).set(i64::from(leads));
        self.fleet_up.with_label_values(none).set(i64::from(up));
    }

    /// The size of etcd's database.
    pub fn fleet_database(&self, bytes: u64) {
        let none: &[&str] = &[];
        self.fleet_database.with_label_values(none).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// The share of the known endpoints that do not need the monolith; `None` where none is known yet.
    pub(crate) fn endpoints_moved(&self) -> Option<f64> {
        let of = |state: &str| self.inventory_endpoints.with_label_values(&[state]).get();
        let (needed, free) = (of("monolith"), of("moved") + of("silent"));
        #[expect(clippy::cast_precision_loss, reason = "there are 20 000 at most")]
        let share = |part: i64| part as f64 / (needed + free) as f64;
        (needed + free > 0).then(|| share(free))
    }

    /// How many endpoints are in each state: monolith, moved, silent.
    pub fn inventory_endpoints(&self, state: &'static str, count: usize) {
        self.inventory_endpoints.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Requests that the inventory did not look at.
    pub fn inventory_dropped(&self, requests: u64) {
        self.inventory_dropped.inc_by(requests);
    }

    /// A limit or a rule refused a request.
    pub fn refused(&self, reason: &'static str) {
        self.refused.count(reason);
    }

    /// The open connections of one listener, `host:port` as the file names it. Asked for once, then held.
    pub fn connections(&self, listener: &str) -> IntGauge {
        self.connections.with_label_values(&[listener])
    }

    /// Requests in flight on the side of this name. The proxy's way there is `RouteMeters::in_flight`, which looks nothing up.
    pub fn in_flight(&self, side: &str) -> InFlight {
        InFlight::new(self.in_flight_gauge(side))
    }

    pub(crate) fn in_flight_gauge(&self, side: &str) -> Arc<AtomicI64> {
        if let Some(gauge) = self.in_flight.read().get(side) {
            return Arc::clone(gauge);
        }
        Arc::clone(self.in_flight.write().entry(side.into()).or_default())
    }

    /// The meters of an upstream, made on first use. Asked for when pools are made, then held.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamMeters> {
        if let Some(meters) = self.upstreams.read().get(name) {
            return Arc::clone(meters);
        }
        Arc::clone(self.upstreams.write().entry(name.into()).or_default())
    }

    /// Another endpoint of the upstream is asked because one failed.
    pub fn retry(&self, upstream: &str, reason: &'static str) {
        self.upstream(upstream).retry(reason);
    }

    pub fn log_lines_dropped(&self, lines: u64) {
        self.log_lines_dropped.inc_by(lines);
    }

    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Spans that no collector took. With 0: they are sent from now on.
    pub fn spans_dropped(&self, spans: u64) {
        self.spans_dropped.get_or_init(AtomicU64::default).fetch_add(spans, Relaxed);
    }

    /// Events that the broker has, and that it will not get. With 0: they are sent from now on.
    pub fn cloud_events(&self, sent: u64, dropped: u64) {
        let counts = self.cloud_events.get_or_init(Default::default);
        counts[0].fetch_add(sent, Relaxed);
        counts[1].fetch_add(dropped, Relaxed);
    }

    pub fn monolith_only(&self, on: bool) {
        self.monolith_only.set(i64::from(on));
    }

    /// A file is in force. `seconds`: since 1970.
    pub fn config_in_force(&self, generation: u64, seconds: f64) {
        self.config_generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.config_last_reload.set(seconds);
    }

    /// applied, unchanged or refused.
    pub fn config_reload(&self, result: &str) {
        self.config_reloads.with_label_values(&[result]).inc();
    }

    /// A target of notifications is in force: its series begin.
    pub fn notify_begins(&self, name: &str) {
        for result in ["sent", "failed", "dropped"] {
            self.notified.with_label_values(&[name, result]);
        }
    }

    /// `sent`, `failed` (in all its tries) or `dropped` (its queue was full).
    pub fn notified(&self, name: &str, result: &str) {
        self.notified.with_label_values(&[name, result]).inc();
    }

    /// When each certificate expires, in seconds since 1970; those that are not named any more have no series.
    pub fn certificates(&self, expiries: &BTreeMap<Box<str>, i64>) {
        let mut shown = self.certificates_shown.lock();
        for name in shown.iter().filter(|name| !expiries.contains_key(*name)) {
            // An error says that there is none.
            drop(self.certificates.remove_label_values(&[name]));
        }
        for (name, expiry) in expiries {
            self.certificates.with_label_values(&[name]).set(*expiry);
        }
        *shown = expiries.keys().cloned().collect();
    }

    pub(crate) fn retain(&self, upstreams: impl Fn(&str) -> bool, sides: impl Fn(&str) -> bool) {
        self.upstreams.write().retain(|name, _| upstreams(name));
        self.in_flight.write().retain(|name, gauge| sides(name) || gauge.load(Relaxed) != 0);
    }
}

/// The commit that was built, where the build says so.
fn revision() -> &'static str {
    option_env!("MULTILITH_REVISION").unwrap_or("unknown")
}
