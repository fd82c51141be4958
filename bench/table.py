#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the measured table between the bench markers of README.md.

    bench/table.py [RESULTS.json [README.md]]
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import document
import report


def main(arguments):
    here = os.path.dirname(os.path.abspath(__file__))
    results, readme = (arguments + [None, None])[:2]
    results = results or os.path.join(here, "results/latest.json")
    readme = readme or os.path.join(here, "../README.md")
    try:
        with open(results, encoding="utf-8") as file:
            table = report.markdown(json.load(file))
        wrong = document.write(readme, "bench", table)
    except (OSError, ValueError) as error:
        wrong = error
    if wrong:
        sys.exit(f"table.py: {wrong}")


if __name__ == "__main__":
    main(sys.argv[1:])
