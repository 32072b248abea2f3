"""Where the metrics come from: the program itself, or a stand-in that exports the same series.

A source has `address` (what Prometheus scrapes), `play()` (lives through the scenario, gives the moment it was over) and `stop()`.
"""
