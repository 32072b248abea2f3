//! The names, types, labels and help texts of the series that routes and upstreams have.

use prometheus::proto::MetricType::{self, COUNTER, GAUGE, HISTOGRAM};

/// One metric of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Requests,
    RequestSeconds,
    UpstreamSeconds,
    InFlight,
    Fallbacks,
    Faults,
    UpstreamErrors,
    Retries,
    Refused,
    ClientAborts,
    BreakerOpen,
    ShadowRequests,
    ShadowSkipped,
    ShadowSeconds,
    Comparisons,
    ComparisonFields,
    RouteStage,
    RouteWeight,
    Moves,
    Progress,
    UpstreamEndpoints,
    QueueLength,
    QueueSeconds,
    DiscoveryUp,
    SpansDropped,
    EventsSent,
    EventsDropped,
    GateVerdicts,
    GateEvidence,
    GateNeeds,
    GateState,
    DialSeq,
}

pub(super) struct Described {
    pub(super) family: Family,
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// In the order of the enum.
pub(super) const FAMILIES: [Described; 32] = [
    described(
        Family::Requests,
        "multilith_requests_total",
        COUNTER,
        &["route", "side", "stage", "method", "code"],
        "Requests that ended, by route, the side that answered, the stage in force, method and status (of a gRPC call `grpc-` and its number).",
    ),
    described(
        Family::RequestSeconds,
        "multilith_request_duration_seconds",
        HISTOGRAM,
        &["route", "side"],
        "From the request's head to the last byte of the answer, by the side that was assigned: a fallback is the service's time.",
    ),
    described(
        Family::UpstreamSeconds,
        "multilith_upstream_duration_seconds",
        HISTOGRAM,
        &["route", "upstream"],
        "Time to the first byte of the upstream's answer.",
    ),
    described(Family::InFlight, "multilith_requests_in_flight", GAUGE, &["side"], "Requests being served, by side."),
    described(
        Family::Fallbacks,
        "multilith_fallbacks_total",
        COUNTER,
        &["route", "reason"],
        "Requests that the monolith answered because the service failed.",
    ),
    described(
        Family::Faults,
        "multilith_faults_total",
        COUNTER,
        &["route", "kind"],
        "Requests that failed on purpose, because the file asks for it: delayed, or answered with a status.",
    ),
    described(
        Family::UpstreamErrors,
        "multilith_upstream_errors_total",
        COUNTER,
        &["route", "side", "kind"],
        "Attempts on an upstream that failed.",
    ),
    described(
        Family::Retries,
        "multilith_retries_total",
        COUNTER,
        &["upstream", "reason"],
        "Requests sent to another endpoint of the same upstream.",
    ),
    described(
        Family::Refused,
        "multilith_refused_total",
        COUNTER,
        &["reason"],
        "Requests refused by a limit or a rule.",
    ),
    described(
        Family::ClientAborts,
        "multilith_client_aborts_total",
        COUNTER,
        &["route"],
        "Requests whose client went away before the answer was complete.",
    ),
    described(
        Family::BreakerOpen,
        "multilith_breaker_open",
        GAUGE,
        &["route"],
        "1 while the route's breaker is open: the monolith answers without the service being asked.",
    ),
    described(
        Family::ShadowRequests,
        "multilith_shadow_requests_total",
        COUNTER,
        &["route", "outcome"],
        "Copies sent, by what became of them.",
    ),
    described(
        Family::ShadowSkipped,
        "multilith_shadow_skipped_total",
        COUNTER,
        &["route", "reason"],
        "Copies not sent, by reason.",
    ),
    described(
        Family::ShadowSeconds,
        "multilith_shadow_duration_seconds",
        HISTOGRAM,
        &["route"],
        "Time of a copy from its sending to the end of its answer.",
    ),
    described(
        Family::Comparisons,
        "multilith_comparisons_total",
        COUNTER,
        &["route", "verdict"],
        "Comparisons of the monolith's and the service's answer.",
    ),
    described(
        Family::ComparisonFields,
        "multilith_comparison_fields_total",
        COUNTER,
        &["route", "field", "kind"],
        "Fields that differed: raw between the sides, noise of the monolith with itself.",
    ),
    described(Family::RouteStage, "multilith_route_stage", GAUGE, &["route", "stage"], "1 on the stage in force."),
    described(
        Family::RouteWeight,
        "multilith_route_weight_ratio",
        GAUGE,
        &["route", "side"],
        "Share of the clients that the file gives to the side.",
    ),
    described(
        Family::Moves,
        "multilith_moves_total",
        COUNTER,
        &["route", "from", "to", "by"],
        "Changes of a route's stage or weight; from and to are stages.",
    ),
    described(
        Family::Progress,
        "multilith_migration_progress_ratio",
        GAUGE,
        &["by"],
        "By requests: share of the last five minutes' answers that did not come from the monolith. \
         By routes: share of the routes that are migrated or retired. \
         By endpoints: share of the known endpoints that the monolith did not answer for thirty days.",
    ),
    described(
        Family::UpstreamEndpoints,
        "multilith_upstream_endpoints",
        GAUGE,
        &["upstream", "state"],
        "Endpoints of the upstream, by state.",
    ),
    described(
        Family::QueueLength,
        "multilith_queue_length",
        GAUGE,
        &["upstream"],
        "Requests that wait for the upstream, which takes only `max_in_flight` at once.",
    ),
    described(
        Family::QueueSeconds,
        "multilith_queue_wait_seconds",
        HISTOGRAM,
        &["upstream"],
        "How long requests waited for the upstream; those that were let in at once are among them.",
    ),
    described(
        Family::DiscoveryUp,
        "multilith_discovery_up",
        GAUGE,
        &["upstream"],
        "1 while the source of the upstream's endpoints can be asked.",
    ),
    described(
        Family::SpansDropped,
        "multilith_spans_dropped_total",
        COUNTER,
        &[],
        "Spans that were dropped because the collector did not take them.",
    ),
    described(
        Family::EventsSent,
        "multilith_events_sent_total",
        COUNTER,
        &[],
        "Events that the broker of `[events]` has confirmed.",
    ),
    described(
        Family::EventsDropped,
        "multilith_events_dropped_total",
        COUNTER,
        &[],
        "Events that were dropped because the broker did not take them and no room was left, or takes none that long.",
    ),
    described(
        Family::GateVerdicts,
        "multilith_gate_verdicts_total",
        COUNTER,
        &["route", "verdict"],
        "What the route's gate said at the end of each interval.",
    ),
    described(
        Family::GateEvidence,
        "multilith_gate_evidence",
        GAUGE,
        &["route", "metric", "direction"],
        "Natural logarithm of the evidence that the service is worse than allowed, or better.",
    ),
    described(
        Family::GateNeeds,
        "multilith_gate_needs_requests",
        GAUGE,
        &["route"],
        "Requests of the service, or comparisons, that the next step still needs; absent where no end is in sight.",
    ),
    described(
        Family::GateState,
        "multilith_gate_state",
        GAUGE,
        &["route", "state"],
        "1 on what the route's gate is doing.",
    ),
    described(
        Family::DialSeq,
        "multilith_fleet_dial_seq",
        GAUGE,
        &["route"],
        "The last entry of the journal that is in force for the route: the same on all replicas of a fleet.",
    ),
];

const fn described(
    family: Family,
    name: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    help: &'static str,
) -> Described {
    Described { family, name, kind, labels, help }
}

// The table has the order of the enum, or the program is not built.
const _: () = {
    let mut place = 0;
    while place < FAMILIES.len() {
        assert!(FAMILIES[place].family as usize == place);
        place += 1;
    }
};
