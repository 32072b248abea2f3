"""Which metrics and labels a PromQL expression leans on, found by parsing it."""

from dataclasses import dataclass

import promql_parser as promql


@dataclass(frozen=True)
class Selector:
    """One `metric{label="value"}`: the names it may match and the labels and values it asks for."""

    names: tuple
    matchers: tuple  # (label, operator, value)


def parse(expr):
    return promql.parse(expr)


def selectors(expr):
    """Every selector of the expression."""
    return [_selector(node) for node in _walk(parse(expr)) if isinstance(node, promql.VectorSelector)]


def metric_names(expr):
    return {name for selector in selectors(expr) for name in selector.names}


def grouping_labels(expr):
    """(labels named by `by`, `on` or `group_left`, the metric names below them) for each such place."""
    for node in _walk(parse(expr)):
        if isinstance(node, (promql.AggregateExpr, promql.BinaryExpr)):
            yield from _labels_of_modifier(node)


def unguarded_counters(expr):
    """Counters that are read without rate, increase or a difference in time."""
    return [name for name, guarded in _counters(parse(expr), False) if not guarded]


GUARDS = {"rate", "increase", "irate", "max_over_time"}


def _counters(node, guarded):
    if isinstance(node, promql.VectorSelector):
        return [(name, guarded) for name in _selector(node).names if name.endswith(("_total", "_bucket", "_sum"))]
    inside = guarded or (isinstance(node, promql.Call) and node.func.name in GUARDS)
    inside = inside or (isinstance(node, promql.BinaryExpr) and "offset" in str(node.rhs))
    return [found for child in _children(node) for found in _counters(child, inside)]


def _labels_of_modifier(node):
    modifier = node.modifier
    if modifier is None:
        return
    below = metric_names(str(node))
    if isinstance(node, promql.AggregateExpr):
        yield set(modifier.labels), below
    elif modifier.matching is not None:
        yield set(modifier.matching.labels), below


def _selector(node):
    matchers = [(m.name, str(m.op).removeprefix("MatchOp."), m.value) for m in node.matchers.matchers]
    names = [node.name] if node.name else [n for label, _, value in matchers if label == "__name__" for n in value.split("|")]
    return Selector(tuple(names), tuple(m for m in matchers if m[0] != "__name__"))


def _children(node):
    parts = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "param", "vector_selector")]
    parts += getattr(node, "args", None) or []
    return [part for part in parts if isinstance(part, promql.Expr)]


def _walk(node):
    yield node
    for child in _children(node):
        yield from _walk(child)
