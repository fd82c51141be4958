# SPDX-License-Identifier: GPL-2.0-or-later
"""From raw repetitions to ratios, and the ratios as tables.

A ratio is formed within one repetition, with host-native's figure of that repetition, and
only then is the median taken: slow minutes of the machine cancel out.
"""

import statistics

BASE = "native"
AGAIN = "native2"


def figures(results, cell, metric):
    """{way: {repetition: figure}} of the runs that count."""
    found = {}
    for one in results["runs"]:
        if one["cell"] == cell and not one["dropped"] and metric in one["metrics"]:
            found.setdefault(one["way"], {})[one["repetition"]] = one["metrics"][metric]
    return found


def summarise(results):
    """One entry per row: absolute medians and ratios to host-native for each way."""
    rows = []
    for name, cell in results["cells"].items():
        for row in cell["rows"]:
            found = figures(results, name, row["metric"])
            base = found.get(BASE, {})
            ways = {}
            for way, values in found.items():
                ratios = [value / base[rep] for rep, value in values.items()
                          if base.get(rep)]
                ways[way] = {"median": statistics.median(values.values()),
                             "n": len(ratios)}
                if ratios:
                    ways[way].update(ratio=statistics.median(ratios),
                                     lowest=min(ratios), highest=max(ratios))
            rows.append({"cell": name, **row, "ways": ways})
    return rows


def shown(results):
    """The ways that get a column: those asked for."""
    return [way for way in results["ways"] if way != BASE]


def number(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def absolute(row):
    way = row["ways"].get(BASE)
    if not way:
        return "–"
    value = way["median"] / 1e9 if row["unit"] == "Gb/s" else way["median"]
    text = f"{value:,.0f}" if value >= 1000 else number(value)
    return f"{text} {row['unit']}"


def missing(results, row, way):
    """Why there is no figure: a footnote's text."""
    reason = (results["ways"][way].get("unavailable") or
              results["cells"][row["cell"]].get("unavailable"))
    if reason:
        return reason
    runs = [one for one in results["runs"]
            if one["cell"] == row["cell"] and one["way"] == way]
    if runs and all(one["skipped"] for one in runs):
        return None
    for one in runs:
        if one["error"]:
            return one["error"]
    if any(one["dropped"] for one in runs):
        return "dropped: the hypervisor stole more than 5 % of the time"
    if runs and row["metric"] == "cpu_s_per_gb":
        return "CPU not counted: others used the machine"
    return "not measured"


def lines(results, rows=None, ways=None, notes=None):
    """[[title, native, ratio...]...] and the notes the ratios refer to."""
    notes, table = [] if notes is None else notes, []
    for row in rows or results["summary"]:
        title = row["title"] + (" (low is good)" if row["better"] == "low" else "")
        line = [title, absolute(row)]
        for way in ways or shown(results):
            found = row["ways"].get(way, {})
            if "ratio" in found:
                text = number(found["ratio"])
                if found["n"] > 1:
                    text += f" ({number(found['lowest'])}–{number(found['highest'])})"
            else:
                text = "–"
                reason = missing(results, row, way)
                if reason:
                    note = f"{results['ways'][way]['title']}: {reason}"
                    if note not in notes:
                        notes.append(note)
                    text += f" [{notes.index(note) + 1}]"
            line.append(text)
        table.append(line)
    return table, notes


def heading(results):
    machine = results["machine"]
    return (f"{machine['cpus']} CPUs ({machine['model']}), Linux {machine['kernel']}, "
            f"{results['congestion_control']}, {results['date'][:10]}, "
            f"{results['repetitions']} repetitions of {results['seconds']:g} s")


def spread(results):
    """How far host-native is from itself over all rows and repetitions: the noise."""
    ratios = []
    for row in results["summary"]:
        found = figures(results, row["cell"], row["metric"])
        base = found.get(BASE, {})
        ratios += [value / base[rep] for rep, value in found.get(AGAIN, {}).items()
                   if base.get(rep)]
    if len(ratios) < 2:
        return "host-native was not measured twice: no noise figure"
    tenths = statistics.quantiles(ratios, n=10)
    return (f"host-native against itself: {tenths[0]:.2f}–{tenths[-1]:.2f} (p10–p90 of "
            f"{len(ratios)} ratios), smaller differences mean nothing")


def text(results):
    table, notes = lines(results)
    head = ["ratio to host-native", "host-native",
            *(results["ways"][way]["title"] for way in shown(results))]
    widths = [max(len(line[i]) for line in [head, *table]) for i in range(len(head))]
    out = [heading(results), spread(results), ""]
    for line in [head, *table]:
        out.append("  ".join(cell.ljust(width) for cell, width in
                             zip(line, widths)).rstrip())
    out += ["", *(f"[{i + 1}] {note}" for i, note in enumerate(notes))]
    return "\n".join(out).rstrip() + "\n"


def groups(results):
    """[(rows, ways)...]: rows for whose direction the same ways mean something."""
    found = {}
    for row in results["summary"]:
        ways = tuple(way for way in shown(results) if any(
            one["way"] == way and not one["skipped"] for one in results["runs"]
            if one["cell"].endswith("-both") == row["cell"].endswith("-both")))
        found.setdefault(ways, []).append(row)
    return [(rows, ways) for ways, rows in found.items()]


def markdown(results):
    out, notes = [], []
    for rows, ways in groups(results):
        table, _ = lines(results, rows, ways, notes)
        head = ["ratio to host-native", "host-native",
                *(results["ways"][way]["title"] for way in ways)]
        out += [""] * bool(out)
        out += ["| " + " | ".join(line) + " |"
                for line in [head, ["---"] * len(head), *table]]
    dropped = sum(one["dropped"] for one in results["runs"])
    out += ["", f"{heading(results)}; medians of ratios formed within each repetition "
            f"(lowest–highest); {spread(results)}; {dropped} of "
            f"{sum(not one['skipped'] for one in results['runs'])} runs dropped for stolen "
            "time."]
    out += ["", *(f"[{i + 1}] {note}  " for i, note in enumerate(notes))] if notes else []
    return "\n".join(out) + "\n"
