#!/usr/bin/env python3
"""Prints what a compression changed, from two reports of pare.

Usage: before_after.py COMPRESSED.json EVALUATED.json

COMPRESSED is the report of the command that wrote the model (`pare prune`...), EVALUATED that of `pare evaluate` on what it wrote,
with `--against` the input.
"""
import json
import os
import sys


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def percent_of(part, whole):
    return f"{100 * part / whole:.1f} %"


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        return 0 if "--help" in sys.argv else 2
    compressed, evaluated = map(load, sys.argv[1:])
    model, result, metrics = compressed["model"], compressed["result"], evaluated["metrics"]
    rows = [("", "before", "after", "")]
    for key in ("parameters", "nonzero"):
        rows.append((key, f"{model[key]:,}", f"{result[key]:,}", percent_of(result[key], model[key])))
    for file in result["files"]:
        name = os.path.basename(file["path"])
        rows.append((f"bytes of {name}", f"{model['bytes']:,}", f"{file['bytes']:,}", percent_of(file["bytes"], model["bytes"])))
    was, now = metrics["accuracy_before"], metrics["accuracy"]
    rows.append(("test accuracy", f"{100 * was:.2f} %", f"{100 * now:.2f} %", f"{100 * (now - was):+.2f} points"))
    rows.append(("time", "", f"{compressed['cost']['duration']:.0f} s", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    print()
    for name, *cells in rows:
        print("  ".join([f"{name:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:]))]).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
