#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw the ratios as an SVG: a line per figure, a mark per way, host-native in the middle.

    bench/plot.py [RESULTS.json [OUTPUT.svg]]

Where low is good (latency, CPU) the ratio is turned over, so that right is better
everywhere. The scale is logarithmic: twice as fast is as far from the host as half as
fast. Marks differ in shape as well as in colour; the picture brings its own background,
light or dark as the reader's system asks.
"""

import json
import math
import os
import sys
from xml.sax.saxutils import escape

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import report

WIDTH, LEFT, RIGHT, STEP = 920, 325, 30, 25
LEGEND, LEGEND_STEP = 58, 20  # its first line
TICKS = [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10]

# Colours that stand apart for the colour-blind (Okabe and Ito); graft's come last, on top.
STYLES = {
    "native2": ("#8a8a8a", "bar"),
    "veth": ("#0072b2", "square"),
    "pasta": ("#cc79a7", "diamond"),
    "slirp4netns": ("#e69f00", "triangle"),
    "unix": ("#8a8a8a", "diamond"),
    "graft-notify": ("#009e73", "circle"),
    "graft-notify-any": ("#d55e00", "circle"),
    "graft-preload": ("#56b4e9", "circle"),
    "graftd": ("#7a3fbf", "circle"),
    "graft-unix": ("#009e73", "square"),
}
OTHER = "#d55e00", "triangle"

STYLE = """
  .card { fill: #ffffff } .text { fill: #24292f } .faint { fill: #57606a }
  .grid { stroke: #d8dee4 } .one { stroke: #24292f } .edge { stroke: #ffffff }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117 } .text { fill: #e6edf3 } .faint { fill: #9aa4ae }
    .grid { stroke: #30363d } .one { stroke: #e6edf3 } .edge { stroke: #0d1117 }
  }
  text { font-family: sans-serif; font-size: 12.5px }
  .title { font-size: 16px; font-weight: bold } .small { font-size: 11px }
"""


def mark(shape, x, y, colour):
    r = 5.5
    paint = f'fill="{colour}" class="edge" stroke-width="1"'
    if shape == "square":
        return f'<rect x="{x - r + .5:.1f}" y="{y - r + .5:.1f}" width="{2 * r - 1}" ' \
               f'height="{2 * r - 1}" {paint}/>'
    if shape == "diamond":
        points = (x, y - r - 1), (x + r + 1, y), (x, y + r + 1), (x - r - 1, y)
    elif shape == "triangle":
        points = (x, y - r), (x + r, y + r - 1), (x - r, y + r - 1)
    elif shape == "bar":
        return f'<rect x="{x - 1.5:.1f}" y="{y - r - 2:.1f}" width="3" ' \
               f'height="{2 * r + 4}" fill="{colour}"/>'
    else:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r + .5}" {paint}/>'
    corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return f'<polygon points="{corners}" {paint}/>'


class Plot:
    def __init__(self, results):
        self.results = results
        self.ways = [way for way in report.shown(results)
                     if any(way in row["ways"] for row in results["summary"])]
        self.ways.sort(key=lambda way: way.startswith("graft"))
        self.rows = [row for row in results["summary"]
                     if any("ratio" in row["ways"].get(way, {}) for way in self.ways)]
        values = [value for row in self.rows for way in self.ways
                  for value in self.figures(row, way)]
        self.low = max(TICKS[0], min([0.5, *values]) * 0.9)
        self.high = min(TICKS[-1], max([1.5, *values]) * 1.1)
        self.places, lines = self.place_legend()
        self.top = LEGEND + LEGEND_STEP * lines + 26
        self.bottom = self.top + STEP * len(self.rows)

    @staticmethod
    def figures(row, way):
        """median, lowest, highest with right as better; () without them."""
        found = row["ways"].get(way, {})
        if "ratio" not in found:
            return ()
        three = found["ratio"], found["lowest"], found["highest"]
        if row["better"] == "low":
            return tuple(1 / value for value in (three[0], three[2], three[1]))
        return three

    def style(self, way):
        return STYLES.get(way, OTHER)

    def x(self, ratio):
        ratio = min(max(ratio, self.low), self.high)
        part = math.log(ratio / self.low) / math.log(self.high / self.low)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def place_legend(self):
        """{way: (x, y)} of its marks, and how many lines they take."""
        x, y, places = 30, LEGEND, {}
        for way in self.ways:
            width = 30 + 6.9 * len(self.results["ways"][way]["title"])
            if x + width > WIDTH - RIGHT:
                x, y = 30, y + LEGEND_STEP
            places[way] = x, y
            x += width
        return places, (y - LEGEND) // LEGEND_STEP + 1

    def legend(self):
        out = []
        for way, (x, y) in self.places.items():
            colour, shape = self.style(way)
            out.append(mark(shape, x, y, colour))
            out.append(f'<text class="text" x="{x + 12}" y="{y + 4}">'
                       f'{escape(self.results["ways"][way]["title"])}</text>')
        return out

    def axis(self):
        out = []
        for tick in TICKS:
            if not self.low <= tick <= self.high:
                continue
            x, kind = self.x(tick), "one" if tick == 1 else "grid"
            out.append(f'<line class="{kind}" x1="{x:.1f}" y1="{self.top - 14}" x2="{x:.1f}" '
                       f'y2="{self.bottom}"/>')
            label = f"{tick:g}×" if tick != 1 else "host"
            out.append(f'<text class="text small" x="{x:.1f}" y="{self.top - 19}" '
                       f'text-anchor="middle">{label}</text>')
        return out

    def row(self, index, row):
        y = self.top + STEP * index + STEP / 2
        out = [f'<text class="text" x="{LEFT - 14}" y="{y + 4:.1f}" text-anchor="end">'
               f'{escape(row["title"])}</text>',
               f'<line class="grid" x1="{LEFT}" y1="{y + STEP / 2:.1f}" '
               f'x2="{WIDTH - RIGHT}" y2="{y + STEP / 2:.1f}" stroke-opacity="0.5"/>']
        for way in self.ways:
            three = self.figures(row, way)
            if not three:
                continue
            colour, shape = self.style(way)
            middle, low, high = map(self.x, three)
            title = f'{self.results["ways"][way]["title"]}: {three[0]:.2f} ' \
                    f'({three[1]:.2f}–{three[2]:.2f})'
            out.append(f'<g><title>{escape(title)}</title><line x1="{low:.1f}" '
                       f'y1="{y}" x2="{high:.1f}" y2="{y}" stroke="{colour}" '
                       f'stroke-width="2" stroke-opacity="0.55"/>'
                       f'{mark(shape, middle, y, colour)}</g>')
        return out

    def svg(self):
        height = self.bottom + 44
        out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
               f'width="{WIDTH}" height="{height}" role="img">',
               "<title>Speed of ways to the network, relative to the host</title>",
               f"<style>{STYLE}</style>",
               f'<rect class="card" width="{WIDTH}" height="{height}" rx="8"/>',
               '<text class="text title" x="20" y="30">Speed relative to host-native: '
               "right is better</text>"]
        out += self.legend() + self.axis()
        for index, row in enumerate(self.rows):
            out += self.row(index, row)
        out += [f'<text class="faint small" x="20" y="{height - 24}">Latency and CPU turned '
                'over. Marks: median of ratios within a repetition; lines: lowest to '
                'highest.</text>',
                f'<text class="faint small" x="20" y="{height - 9}">'
                f'{escape(report.heading(self.results))}</text>', "</svg>"]
        return "\n".join(out) + "\n"


def main(arguments):
    here = os.path.dirname(os.path.abspath(__file__))
    results, output = (arguments + [None, None])[:2]
    results = results or os.path.join(here, "results/latest.json")
    output = output or os.path.join(here, "../docs/bench.svg")
    try:
        with open(results, encoding="utf-8") as file:
            plot = Plot(json.load(file))
        if not plot.rows:
            sys.exit(f"plot.py: {results}: no ratio in it")
        os.makedirs(os.path.dirname(os.path.abspath(output)), exist_ok=True)
        with open(output, "w", encoding="utf-8") as file:
            file.write(plot.svg())
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"plot.py: {error!r}")


if __name__ == "__main__":
    main(sys.argv[1:])
