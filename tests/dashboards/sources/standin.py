"""A stand-in for the program: exports exactly the contract's series and lives through the scenario by itself.

For work on the dashboards without a build. The test of record uses the program (proxy.py).
"""

import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import prometheus_client as client

import contract
import scenario
from contract import PREFIX

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TICK = 0.1
KINDS = {"counter": client.Counter, "gauge": client.Gauge, "histogram": client.Histogram}


class Standin:
    def __init__(self, folder):
        client.disable_created_metrics()
        self.registry = client.CollectorRegistry()
        client.ProcessCollector(registry=self.registry)
        self.metrics = {name: self._metric(name, *what) for name, what in contract.METRICS.items()}
        self.random = random.Random(7)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self._set_up()

    def _metric(self, name, kind, labels):
        more = {"buckets": BUCKETS} if kind == "histogram" else {}
        return KINDS[kind](PREFIX + name, name.replace("_", " "), list(labels), registry=self.registry, **more)

    def _handler(self):
        registry = self.registry

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = client.generate_latest(registry)
                self.send_response(200)
                self.send_header("Content-Type", client.CONTENT_TYPE_LATEST)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def stop(self):
        self.server.shutdown()

    def get(self, name, /, **labels):
        return self.metrics[name].labels(**labels) if labels else self.metrics[name]

    # -- the configuration ------------------------------------------------------------------------------------------

    def _set_up(self):
        self.stage = dict(scenario.STAGES_AT_THE_END, search="monolith")
        self.weight = {"users": scenario.USERS_WEIGHT, "orders": 0.5, "catalog": 1.0, "reports": 1.0}
        for route in (*scenario.ROUTES, "unmatched"):
            self.get("client_aborts_total", route=route)
            for kind in ("connect", "timeout", "reset", "status", "protocol"):
                self.get("upstream_errors_total", route=route, side="service", kind=kind)
        for route in ("users", "orders"):
            self.get("breaker_open", route=route).set(0)
            for reason in ("connect", "no_endpoint", "timeout", "reset", "status", "breaker_open"):
                self.get("fallbacks_total", route=route, reason=reason)
        for state in ("off", "hold", "settling", "latched", "waiting", "paused"):
            self.get("gate_state", route="orders", state=state).set(state == "hold")
        for verdict in ("advance", "hold", "roll-back"):
            self.get("gate_verdicts_total", route="orders", verdict=verdict)
        for direction in ("worse", "better"):
            self.get("gate_evidence", route="orders", metric="failures", direction=direction).set(0.5)
        self.get("gate_needs_requests", route="orders").set(1000000)
        for result in ("sent", "failed", "dropped"):
            self.get("notify_total", name="nobody", result=result)
        for result in ("applied", "unchanged", "refused"):
            self.get("config_reloads_total", result=result)
        for upstream in ("monolith", "users", "orders", "search", "checkout", "catalog", "reports"):
            for state in contract.STATES:
                self.get("upstream_endpoints", upstream=upstream, state=state).set(2 if state == "healthy" else 0)
            self.get("retries_total", upstream=upstream, reason="connect")
        self.get("queue_length", upstream="users").set(0)
        self.get("queue_wait_seconds", upstream="users").observe(0)
        for upstream in ("users", "catalog"):
            self.get("discovery_up", upstream=upstream).set(1)
        for reason in ("path", "body", "request_head", "rate_limit"):
            self.get("refused_total", reason=reason)
        self.get("monolith_only").set(0)
        self.get("build_info", version="0.1.0", revision="standin").set(1)
        self.get("config_generation").set(1)
        self.get("certificate_expiry_timestamp_seconds", name="shop.example").set(time.time() + 60 * 86400)
        self.get("config_last_reload_timestamp_seconds").set_to_current_time()
        self._publish()

    def _publish(self):
        for each in contract.STAGES:
            self.get("route_stage", route="unmatched", stage=each).set(each == "monolith")
        for route, stage in self.stage.items():
            for each in contract.STAGES:
                self.get("route_stage", route=route, stage=each).set(each == stage)
            if stage == "split":
                for variant in scenario.VARIANTS:
                    self.get("route_weight_ratio", route=route, side=variant).set(0.5)
            else:
                weight = self.weight.get(route, 0)
                self.get("route_weight_ratio", route=route, side="service").set(weight)
                self.get("route_weight_ratio", route=route, side="monolith").set(1 - weight)
        done = sum(stage in ("migrated", "retired") for stage in self.stage.values())
        self.get("migration_progress_ratio", by="routes").set(done / len(self.stage))
        self.get("migration_progress_ratio", by="requests").set(0)
        self.get("migration_progress_ratio", by="endpoints").set(0.2)
        for state, count in (("monolith", 8), ("moved", 2), ("silent", 0)):
            self.get("inventory_endpoints", state=state).set(count)

    # -- the story --------------------------------------------------------------------------------------------------

    def play(self):
        began = time.monotonic()
        self.count, self.answers = 0, {"monolith": 0, "other": 0}
        happened = set()
        while (now := time.monotonic() - began) < scenario.SECONDS:
            for moment, event in ((scenario.MOVE_AT, self._move), (scenario.REFUSED_AT, self._refuse), (scenario.OUTAGE_AT, self._outage)):
                if now >= moment and event not in happened:
                    happened.add(event)
                    event()
            self.get("gate_verdicts_total", route="orders", verdict="hold").inc(TICK)
            for _ in range(2):
                self._round(outage=now >= scenario.OUTAGE_AT)
            time.sleep(TICK)
        return time.time()

    def _move(self):
        self.stage["search"] = "shadow"
        self.get("moves_total", route="search", **{"from": "monolith", "to": "shadow", "by": "file"}).inc()
        self.get("config_generation").inc()
        self.get("config_reloads_total", result="applied").inc()
        self.get("config_last_reload_timestamp_seconds").set_to_current_time()
        self._publish()

    def _refuse(self):
        self.get("config_reloads_total", result="refused").inc()
        self.get("upstream_endpoints", upstream="users", state="healthy").set(1)
        self.get("upstream_endpoints", upstream="users", state="unhealthy").set(1)
        self.get("discovery_up", upstream="catalog").set(0)

    def _outage(self):
        self.get("breaker_open", route="orders").set(1)
        self.get("upstream_endpoints", upstream="orders", state="healthy").set(0)
        self.get("upstream_endpoints", upstream="orders", state="unhealthy").set(2)

    def _round(self, outage):
        """One request for every route, and for none."""
        self.count += 1
        n = self.count
        self._answer("account", "monolith", "monolith", 500 if n % 20 == 0 else 200)
        self._answer("unmatched", "monolith", "monolith", 200)
        self._answer("search", "monolith", "monolith", 200)
        if self.stage["search"] == "shadow":
            self._copy("search", mismatch=n % 10 == 0, field="$.total")
        side = "service" if n * 37 % 100 < scenario.USERS_WEIGHT * 100 else "monolith"
        self._answer("users", side, "users", 200)
        self._orders(n, outage)
        self._answer("checkout", scenario.VARIANTS[n % 2], "checkout", 200)
        self._answer("catalog", "service", "catalog", 200)
        self._copy("catalog", mismatch=False, field=None)
        self._answer("reports", "service", "reports", 500 if n % 25 == 0 else 200)
        if n % 15 == 0:
            self.get("requests_total", route="unmatched", side="none", stage="monolith", method="POST", code="413").inc()
            self.get("refused_total", reason="body").inc()
            self.get("client_aborts_total", route="orders").inc()
            self.get("retries_total", upstream="users", reason="connect").inc()
        self.get("connections", listener="http").set(12 + n % 5)
        self.get("requests_in_flight", side="monolith").set(2 + n % 3)
        self.get("requests_in_flight", side="service").set(1 + n % 2)
        self.get("migration_progress_ratio", by="requests").set(self.answers["other"] / sum(self.answers.values()))

    def _orders(self, n, outage):
        service = n % 2 == 0
        if not service:
            self._answer("orders", "monolith", "orders", 200)
            self._copy("orders", mismatch=n % 7 == 0, field="$.items[*].price", outage=outage)
            return
        reason = "breaker_open" if outage else {0: "status", 6: "timeout"}.get(n % 12)
        if reason is None:
            self._answer("orders", "service", "orders", 500 if n % 50 == 0 else 200)
            return
        if reason != "breaker_open":
            self.get("upstream_errors_total", route="orders", side="service", kind=reason).inc()
        self.get("fallbacks_total", route="orders", reason=reason).inc()
        self._answer("orders", "monolith", "orders", 200, assigned="monolith" if outage else "service")

    def _answer(self, route, side, upstream, code, assigned=None):
        first_byte = self.random.lognormvariate(-4.6 if side == "monolith" else -4.1, 0.4)
        self.get("requests_total", route=route, side=side, stage=self.stage.get(route, "monolith"), method="GET", code=str(code)).inc()
        self.get("request_duration_seconds", route=route, side=assigned or side).observe(first_byte + 0.0004)
        self.get("upstream_duration_seconds", route=route, upstream="monolith" if side == "monolith" else upstream).observe(first_byte)
        self.answers["monolith" if side in scenario.ANSWERED_BY_THE_MONOLITH else "other"] += 1

    def _copy(self, route, mismatch, field, outage=False):
        if self.count % 9 == 0:
            self.get("shadow_skipped_total", route=route, reason="sampled_out" if self.count % 2 else "queue_full").inc()
            return
        self.get("shadow_requests_total", route=route, outcome="connect" if outage else "answered").inc()
        if outage:
            return
        self.get("shadow_duration_seconds", route=route).observe(self.random.lognormvariate(-4.0, 0.4))
        verdict = "incomparable" if self.count % 31 == 0 else "mismatch" if mismatch else "match"
        self.get("comparisons_total", route=route, verdict=verdict).inc()
        if field:
            self.get("comparison_fields_total", route=route, field=field, kind="raw").inc(verdict == "mismatch")
            self.get("comparison_fields_total", route=route, field="$.updated_at", kind="raw").inc(self.count % 3 == 0)
            self.get("comparison_fields_total", route=route, field="$.updated_at", kind="noise").inc(self.count % 30 == 0)
