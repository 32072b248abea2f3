"""What the program promises to export: every metric, its type, its labels, and their values where these are fixed."""

SIDES = {"monolith", "service", "none"}  # and the names of variants
STATES = {"healthy", "unhealthy", "draining", "starting", "unchecked", "failing"}
STAGES = {"monolith", "shadow", "canary", "split", "migrated", "retired"}

# name without the prefix: (type, {label: closed set of values, or None when the configuration or the traffic names them})
METRICS = {
    "requests_total": ("counter", {"route": None, "side": None, "stage": STAGES, "method": None, "code": None}),
    "request_duration_seconds": ("histogram", {"route": None, "side": None}),
    "upstream_duration_seconds": ("histogram", {"route": None, "upstream": None}),
    "requests_in_flight": ("gauge", {"side": None}),
    "fallbacks_total": ("counter", {"route": None, "reason": None}),
    "faults_total": ("counter", {"route": None, "kind": {"delay", "status"}}),
    "upstream_errors_total": ("counter", {"route": None, "side": None, "kind": {"connect", "no_endpoint", "queue", "timeout", "reset", "status", "protocol"}}),
    "retries_total": ("counter", {"upstream": None, "reason": None}),
    "refused_total": ("counter", {"reason": None}),
    "client_aborts_total": ("counter", {"route": None}),
    "connections": ("gauge", {"listener": None}),
    "log_lines_dropped_total": ("counter", {}),
    "spans_dropped_total": ("counter", {}),
    "events_sent_total": ("counter", {}),
    "events_dropped_total": ("counter", {}),
    "panics_total": ("counter", {}),
    "journal_errors_total": ("counter", {}),
    "journal_broken": ("gauge", {}),
    "gate_verdicts_total": ("counter", {"route": None, "verdict": {"advance", "hold", "roll-back"}}),
    "gate_evidence": ("gauge", {"route": None, "metric": None, "direction": {"worse", "better"}}),
    "gate_needs_requests": ("gauge", {"route": None}),
    "gate_state": ("gauge", {"route": None, "state": {"off", "hold", "settling", "latched", "waiting", "paused"}}),
    "fleet_members": ("gauge", {}),
    "fleet_leader": ("gauge", {}),
    "fleet_up": ("gauge", {}),
    "fleet_database_bytes": ("gauge", {}),
    "fleet_dial_seq": ("gauge", {"route": None}),
    "fleet_evidence": ("gauge", {"fleet": None, "member": None, "route": None, "side": SIDES, "count": None, "cell": None}),
    "notify_total": ("counter", {"name": None, "result": {"sent", "failed", "dropped"}}),
    "monolith_only": ("gauge", {}),
    "breaker_open": ("gauge", {"route": None}),
    "shadow_requests_total": ("counter", {"route": None, "outcome": {"answered", "timeout", "connect", "reset"}}),
    "shadow_skipped_total": (
        "counter",
        {"route": None, "reason": {"sampled_out", "method", "queue_full", "cpu", "body_too_large", "upgrade", "stopping", "incomplete", "credentials", "target"}},
    ),
    "shadow_duration_seconds": ("histogram", {"route": None}),
    "comparisons_total": ("counter", {"route": None, "verdict": {"match", "mismatch", "undecided", "incomparable", "dropped"}}),
    "comparison_fields_total": ("counter", {"route": None, "field": None, "kind": {"raw", "noise"}}),
    "route_stage": ("gauge", {"route": None, "stage": STAGES}),
    "route_weight_ratio": ("gauge", {"route": None, "side": None}),
    "moves_total": ("counter", {"route": None, "from": None, "to": None, "by": {"file", "gate", "person"}}),
    "migration_progress_ratio": ("gauge", {"by": {"requests", "routes", "endpoints"}}),
    "upstream_endpoints": ("gauge", {"upstream": None, "state": STATES}),
    "discovery_up": ("gauge", {"upstream": None}),
    "queue_length": ("gauge", {"upstream": None}),
    "queue_wait_seconds": ("histogram", {"upstream": None}),
    "certificate_expiry_timestamp_seconds": ("gauge", {"name": None}),
    "config_generation": ("gauge", {}),
    "config_last_reload_timestamp_seconds": ("gauge", {}),
    "config_reloads_total": ("counter", {"result": {"applied", "unchanged", "refused"}}),
    "inventory_endpoints": ("gauge", {"state": {"monolith", "moved", "silent"}}),
    "inventory_dropped_total": ("counter", {}),
    "build_info": ("gauge", {"version": None, "revision": None}),
}

# What the process itself exports, as every Prometheus client library does on Linux.
PROCESS = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
}

# Exported, and on purpose on no dashboard and in no alert: name -> why.
UNUSED = {
    "fleet_evidence": "for the replica that judges; what people look at is what gates say",
    "faults_total": "a drill that somebody runs on purpose, and who looks at the route",
    "events_sent_total": "who reads the events sees whether they come",
    "events_dropped_total": "the log warns where a broker takes none, and who reads the events sees the gap in `sequence`",
}

# Exported only where there is something to say: name -> when.
AT_TIMES = {
    "faults_total": "where the file asks for failures on purpose",
    "events_sent_total": "where the file has [events]",
    "events_dropped_total": "where the file has [events]",
    "fleet_members": "where the file has [fleet]",
    "fleet_leader": "where the file has [fleet]",
    "fleet_up": "where the file has [fleet]",
    "fleet_database_bytes": "on the leader of a fleet",
    "fleet_dial_seq": "for routes that were moved",
    "fleet_evidence": "where the file says `evidence = \"prometheus\"` in [fleet]",
    "gate_needs_requests": "while a proof is wanting and its end is in sight; on a machine that is slow at times it is not",
}

PREFIX = "multilith_"

# Metrics with these endings are read instead of the histogram's own name.
HISTOGRAM_SUFFIXES = {"_bucket": {"le"}, "_sum": set(), "_count": set()}

# What Prometheus itself adds to every series, and the series it makes of alerts.
SCRAPE_LABELS = {"instance", "job"}
ALERT_LABELS = {"alertname", "alertstate", "severity", "route", "upstream", "side", "result", "instance", "name", "job"}


def labels_of(series):
    """The labels that the series of this full name carry, or None when no such metric exists."""
    if series == "ALERTS":
        return ALERT_LABELS
    if series in PROCESS:
        return SCRAPE_LABELS
    name = series.removeprefix(PREFIX)
    if name == series:
        return None
    if name in METRICS and METRICS[name][0] != "histogram":
        return set(METRICS[name][1]) | SCRAPE_LABELS
    for suffix, extra in HISTOGRAM_SUFFIXES.items():
        base = name.removesuffix(suffix)
        if base != name and METRICS.get(base, ("",))[0] == "histogram":
            return set(METRICS[base][1]) | extra | SCRAPE_LABELS
    return None


def closed_values(series, label):
    """The values this label can have, when they are fixed."""
    name = series.removeprefix(PREFIX)
    return METRICS.get(name, ("", {}))[1].get(label)
