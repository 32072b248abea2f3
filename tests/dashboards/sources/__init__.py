"""Where the metrics come from: the program itself, or a stand-in that exports the same series.

A source has `address` (what Prometheus scrapes), `play()` (lives through the scenario, returns when it is over) and `stop()`.
"""
