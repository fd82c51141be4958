# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of `make demo`: reads lines "METRIC WAY VALUE", one per measurement, in the
order they were made; the ways of one repetition follow one another.

Shown are the median of each way and, beside it, the median (and range) of its ratio to
host-native in the same repetition.
"""
import collections
import statistics
import sys

METRICS = [
    # name, heading, unit, scale, whether less is better
    ("bulk-serving", "throughput, serving", "Gbit/s", 1e-9, False),
    ("bulk-connecting", "throughput, connecting", "Gbit/s", 1e-9, False),
    ("rr-serving", "round trip p50, serving", "us", 1, True),
    ("rr-connecting", "round trip p50, connecting", "us", 1, True),
    ("crr-serving", "connections, serving", "1/s", 1, False),
    ("crr-connecting", "connections, connecting", "1/s", 1, False),
]
WAYS = [("native", "host-native"), ("veth", "veth+bridge"), ("graft", "grafted")]


def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def cell(values, native, scale):
    ratios = [value / base for value, base in zip(values, native) if base]
    if not ratios:
        return "-"
    median = statistics.median(ratios)
    return f"{number(statistics.median(values) * scale):>6}  {median:4.2f} x " + (
        f"({min(ratios):.2f}-{max(ratios):.2f})"
    )


def main():
    found = collections.defaultdict(list)
    for line in sys.stdin:
        metric, way, value = line.split()
        found[metric, way].append(float(value))
    print(f"{'':36}" + "".join(f"{title:>11}{'':17}" for _, title in WAYS))
    for metric, heading, unit, scale, less in METRICS:
        native = found[metric, "native"]
        if not native:
            continue
        title = f"{heading}, {unit}" + (" (*)" if less else "")
        print(f"{title:36}", end="")
        for way, _ in WAYS:
            if way == "native":
                print(f"{number(statistics.median(native) * scale):>6}{'':22}", end="")
            else:
                print(f"{cell(found[metric, way], native, scale):<28}", end="")
        print()
    print("(*) less is better")


main()
