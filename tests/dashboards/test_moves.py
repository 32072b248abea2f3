"""Every move is marked, once: the first of its kind, the second, those of several routes, and one after a restart."""

import subprocess

import pytest
import yaml

import board

STEP = 15
BUILD = 'multilith_build_info{instance="a", job="multilith", version="1", revision="1"}'


def moves(route, source, target):
    return f'multilith_moves_total{{instance="a", job="multilith", route="{route}", from="{source}", to="{target}", by="file"}}'


# Series, a sample every 15 seconds, and the samples at which a mark is to stand.
SERIES = {
    # The first move of its kind, and the same once more.
    ("search", "monolith", "shadow"): ("_x3 1 1 1 1 2 2 2 2 2", {3, 7}),
    # Begins anew behind a restart, below where it was, and has moved by then.
    ("users", "canary", "canary"): ("3 3 3 3 3 3 3 3 3 1 1 1", {9}),
    # Two moves between two samples are one mark.
    ("orders", "canary", "migrated"): ("0 0 2 2 2 2 2 2 2 2 2 2", {2}),
    # A restart alone moves nothing.
    ("reports", "migrated", "retired"): ("5 5 5 5 5 5 5 5 5 0 0 0", set()),
}


@pytest.mark.parametrize("name", board.NAMES)
def test_every_move_has_a_mark(tmp_path, name):
    (expr,) = [query.expr for query in board.annotation_queries(board.load(name)) if query.place.endswith("annotation Moves")]
    expr = board.fill(expr, board.ALL, step=f"{STEP}s")
    series = [{"series": BUILD, "values": "1x20"}]
    series += [{"series": moves(*labels), "values": values} for labels, (values, _) in SERIES.items()]
    tests = []
    # At the very first sample nothing is known of before.
    for number in range(1, 12):
        marks = [
            {"labels": f'{{route="{route}", from="{source}", to="{target}", by="file"}}', "value": size(labels, number)}
            for labels, (_, at) in SERIES.items()
            for route, source, target in [labels]
            if number in at
        ]
        tests.append({"expr": expr, "eval_time": f"{number * STEP}s", "exp_samples": marks})
    file = tmp_path / "moves.yml"
    file.write_text(yaml.safe_dump({"evaluation_interval": f"{STEP}s", "tests": [{"interval": f"{STEP}s", "input_series": series, "promql_expr_test": tests}]}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def size(labels, number):
    """How many moves the mark stands for."""
    return 2 if labels[0] == "orders" else 1
