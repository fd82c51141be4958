#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the measured table between the bench markers of README.md.

    bench/table.py [RESULTS.json [README.md]]
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import report

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def main(arguments):
    here = os.path.dirname(os.path.abspath(__file__))
    results, readme = (arguments + [None, None])[:2]
    results = results or os.path.join(here, "results/latest.json")
    readme = readme or os.path.join(here, "../README.md")
    try:
        with open(results, encoding="utf-8") as file:
            table = report.markdown(json.load(file))
        with open(readme, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        sys.exit(f"table.py: {error}")
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin or text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"table.py: {readme}: wants {BEGIN} and, after it, {END}, once each")
    text = text[:begin + len(BEGIN)] + "\n" + table + text[end:]
    with open(readme, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
