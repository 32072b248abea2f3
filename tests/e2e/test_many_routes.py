"""A hundred thousand routes: how long they take to load, and that the right one answers.

The times are reported, not judged: only a hang fails, by the patience of whoever waits.
"""

import time

import requests
from children import eventually

ROUTES = 100_000


def tables(port, count, prefix="route"):
    routes = (
        f'[routes.{prefix}-{n}]\npath = "/anything/thing-{n}/{{id}}"\nservice = "things"\nstage = "migrated"\n'
        for n in range(count)
    )
    upstreams = f'[monolith]\nurl = "http://127.0.0.1:{port}"\n[services.things]\nurl = "http://127.0.0.1:{port}"\n'
    return upstreams + "".join(routes)


def test_a_hundred_thousand_routes_load_in_seconds_and_match(proxy, httpbin, report):
    start = time.monotonic()
    edge = proxy(tables(httpbin.port, ROUTES))
    started = time.monotonic() - start

    def route_of(number):
        response = requests.get(f"{edge.url}/anything/thing-{number}/x", timeout=30)
        return response.json()["headers"].get("X-Multilith-Route")

    for number in (0, 1, ROUTES // 2, ROUTES - 1):
        assert route_of(number) == f"route-{number}"
    assert route_of(ROUTES) is None

    start = time.monotonic()
    edge.write(edge.tables(tables(httpbin.port, ROUTES, prefix="again")))
    eventually("the new routes in force", lambda: route_of(7) == "again-7")
    reloaded = time.monotonic() - start
    report(f"{ROUTES} routes: ready {started:.1f} s after the start, reloaded in {reloaded:.1f} s while answering")
