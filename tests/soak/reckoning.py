"""What must be true at the end of a soak, and the table that says whether it is."""

import time
from collections import Counter
from statistics import median

from world import eventually

# Until a fault is over for the last request that it could touch: what was in flight, and what a check has not seen yet.
AFTERMATH = 1.0
# KiB that the middle of the last third may lie above the middle of the first, after warm-up.
GROWTH = 4096
# Descriptors more than before the load that are no leak: a connection of this program itself, a look at a file.
DESCRIPTORS = 5


class Table:
    def __init__(self):
        self.failed = False

    def say(self, what, figure):
        print(f"  {what:<52} {figure}")

    def claim(self, what, figure, holds, why=()):
        self.failed |= not holds
        print(f"{'ok' if holds else 'NO':<2} {what:<52} {figure}")
        for line in list(why)[:20] if not holds else ():
            print(f"     {line}")


def felt(mishap, faults):
    """The faults that lasted while the request did."""
    return [it for it in faults if it.began <= mishap.ended and mishap.began <= it.ended + AFTERMATH]


def excused(mishap, faults):
    """The fault that a failed safe request is put down to: its only endpoint was away, or had begun to answer it."""
    for fault in felt(mishap, faults):
        if mishap.path.startswith("/alone/") and fault.to == "two" and mishap.why in ("502", "503"):
            return f"{fault.kind} {fault.to}, the only endpoint and no fallback"
        if mishap.why == "cut" and mishap.by == fault.to and fault.kind in ("killed", "resetting"):
            return f"{fault.kind} {fault.to} while it answered"
    return None


def arrivals(world):
    """How often each write came to an origin."""
    seen = Counter()
    for journal in world.folder.glob("*.journal"):
        seen.update(journal.read_text().split())
    return seen


def slope(samples):
    """KiB a minute, by least squares."""
    times = [sample[0] / 60 for sample in samples]
    sizes = [sample[1] for sample in samples]
    middle_time, middle_size = sum(times) / len(times), sum(sizes) / len(sizes)
    above = sum((at - middle_time) * (size - middle_size) for at, size in zip(times, sizes, strict=True))
    return above / sum((at - middle_time) ** 2 for at in times)


def reckon(world, load, samples, at_rest, processor):
    table = Table()
    requests(table, world, load)
    writes(table, world, load)
    proxy(table, world, load, processor)
    resources(table, world, samples, at_rest)
    if table.failed:
        (world.folder / "proxy.log").write_text(world.proxy.log())
        print(f"\nthe logs of the proxy are kept in {world.folder}")
    return 1 if table.failed else 0


def requests(table, world, load):
    table.say("requests", sum(load.asked.values()))
    table.say("this program itself was held up for, at most, s", f"{load.late:.1f}")
    for name, seconds in sorted(load.seconds.items()):
        seconds.sort()
        at = [f"{seconds[int(len(seconds) * share)] * 1000:.1f}" for share in (0.5, 0.99)]
        figure = f"{len(seconds)}; {', '.join(at)}, {seconds[-1] * 1000:.0f}"
        table.say(f"  /{name}: well answered; p50, p99, most in ms", figure)
    faults = Counter(f"{fault.to} {fault.kind}" for fault in world.faults)
    table.say("faults", ", ".join(f"{count} × {fault}" for fault, count in sorted(faults.items())))

    minutes = (time.monotonic() - load.began) / 60
    befell = [fault for fault in world.faults if fault.to in ("one", "two")]
    table.say("faults a minute", f"{len(world.faults) / minutes:.1f}")
    # A soak in which nothing goes wrong shows nothing.
    table.claim("faults of endpoints, at least two a minute", len(befell), len(befell) >= 2 * minutes - 1)

    safe = [mishap for mishap in load.mishaps if mishap.method == "GET"]
    reasons = [(mishap, excused(mishap, world.faults)) for mishap in safe]
    for reason, count in sorted(Counter(reason for _, reason in reasons if reason).items()):
        table.say(f"  safe requests that failed: {reason}", count)
    lost = [f"{mishap} {felt(mishap, world.faults)}" for mishap, reason in reasons if reason is None]
    table.claim("safe requests that failed and had another way", len(lost), not lost, lost)
    aborted = [str(mishap) for mishap in load.mishaps if mishap.method == "ABORT"]
    table.claim("connections that could not even be aborted", len(aborted), not aborted, aborted)
    table.say("  echoes through WebSockets", load.echoes)
    table.claim("WebSockets that were lost", len(load.lost_tunnels), not load.lost_tunnels, load.lost_tunnels)


def writes(table, world, load):
    seen = arrivals(world)
    failed = [mishap for mishap in load.mishaps if mishap.method == "POST"]
    table.say("writes; failed, with a fault to blame", f"{len(load.writes)}; {len(failed)}")
    twice = [f"{identity}: {count} times" for identity, count in seen.items() if count > 1]
    table.claim("writes that arrived twice", len(twice), not twice, twice)
    lost = [identity for identity, done in load.writes.items() if done and not seen[identity]]
    table.claim("writes that are said to be done and never arrived", len(lost), not lost, lost)
    # The route of the orders waits for half a second only: on a busy machine an origin may take longer without a fault.
    late = [mishap for mishap in failed if mishap.path == "/orders/save" and mishap.why == "504"]
    table.say("  of these, waited for longer than the route allows", len(late))
    strange = [str(mishap) for mishap in failed if mishap not in late and not felt(mishap, world.faults)]
    table.claim("writes that failed without a fault", len(strange), not strange, strange)


def proxy(table, world, load, processor):
    table.claim("the proxy runs", world.proxy.process.poll() is None, world.proxy.process.poll() is None)
    applied, refused = (world.metric("config_reloads_total", f'result="{it}"') for it in ("applied", "refused"))
    figure = f"{world.reloads}, {applied:.0f}, {refused:.0f}"
    table.claim("reloads: written, applied, refused", figure, applied > 0 and not refused)
    for what in ("fallbacks", "retries", "shadow_requests", "comparisons", "client_aborts"):
        table.say(f"  {what}_total", f"{world.metric(f'{what}_total'):.0f}")
    to_nobody = world.metric("shadow_requests_total", 'outcome="connect"')
    table.claim("copies to nobody", f"{to_nobody:.0f}", to_nobody > 0)
    panics = [line for line in world.proxy.log().splitlines() if "panicked" in line]
    table.claim("panics", len(panics), not panics, panics)
    table.say("processor time of the proxy, share of one core", f"{processor:.1%}")


def resources(table, world, samples, at_rest):
    third = max(1, len(samples) // 3)
    first, last = (median(sample[1] for sample in part) for part in (samples[:third], samples[-third:]))
    table.claim(
        "memory after warm-up, first and last third, KiB",
        f"{first:.0f}, {last:.0f} ({slope(samples):+.0f} KiB/min)",
        last - first <= GROWTH,
    )
    descriptors = sorted(sample[2] for sample in samples)
    table.say("open descriptors under load: median, most", f"{median(descriptors):.0f}, {descriptors[-1]}")
    # Without upstreams no connection to one is kept.
    for name in ("monolith", "one", "two"):
        world.children[name].kill()
    began = time.monotonic()
    try:
        eventually("descriptors back", lambda: world.descriptors() <= at_rest + DESCRIPTORS, limit=30)
    except AssertionError:
        pass
    now = world.descriptors()
    table.claim(
        "open descriptors before the load, and after it",
        f"{at_rest}, {now} ({time.monotonic() - began:.1f} s)",
        now <= at_rest + DESCRIPTORS,
    )
