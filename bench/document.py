#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Puts what is measured between the markers NAME:begin and NAME:end of a document.

    bench/document.py DOCUMENT NAME <TEXT
"""
import sys


def write(path, name, text):
    """Return: None, or what is wrong."""
    marks = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    with open(path, encoding="utf-8") as file:
        was = file.read()
    begin, end = (was.find(mark) for mark in marks)
    if begin < 0 or end < begin or any(was.count(mark) != 1 for mark in marks):
        return f"{path}: wants {marks[0]} and, after it, {marks[1]}, once each"
    with open(path, "w", encoding="utf-8") as file:
        file.write(was[:begin + len(marks[0])] + "\n" + text + was[end:])
    return None


if __name__ == "__main__":
    sys.exit(write(sys.argv[1], sys.argv[2], sys.stdin.read()))
