"""The story that the dashboards are tested with: one route in every stage, and one of everything that can go wrong.

Whatever the source, these are the facts; the tests of the values lean on them.

    account   monolith           every 20th answer of the monolith is a 500
    search    monolith, then shadow by a reload; every 10th comparison is a mismatch in `$.total`
    users     canary 30 %        nothing goes wrong
    orders    canary 50 %        some copies and requests fail; then its service stops, and the breaker opens
    checkout  split 50 : 50      variants blue (the monolith) and green
    catalog   migrated           copies go back to the monolith
    reports   retired            its service answers every 25th request with 500
    (no route)                   the monolith; some bodies are too large

Beside it: one of the two endpoints of catalog goes away, a registry falls silent, a broken file is refused, clients hang up.
"""

import os

SECONDS = float(os.environ.get("MULTILITH_SCENARIO_SECONDS", 45))  # how long there is traffic; longer for pictures to keep
MOVE_AT = 0.27 * SECONDS  # search goes from monolith to shadow
REFUSED_AT = 0.4 * SECONDS  # a broken routes.toml
OUTAGE_AT = 0.58 * SECONDS  # the service of orders stops

ROUTES = ("account", "catalog", "checkout", "orders", "reports", "search", "users")
STAGES_AT_THE_END = {
    "account": "monolith",
    "search": "shadow",
    "users": "canary",
    "orders": "canary",
    "checkout": "split",
    "catalog": "migrated",
    "reports": "retired",
}
USERS_WEIGHT = 0.30
MONOLITH_ERRORS_OF_ACCOUNT = 0.05
SERVICE_ERRORS_OF_REPORTS = 0.04
MISMATCH_OF_SEARCH = 0.10
VARIANTS = ("blue", "green")
ANSWERED_BY_THE_MONOLITH = {"monolith", "blue"}  # blue's upstream is the monolith
PROGRESS_BY_ROUTES = 2 / 7  # catalog and reports
TROUBLED = "orders"  # the route on which every panel of the Route dashboard has something to show
