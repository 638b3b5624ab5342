#!/usr/bin/env python3
"""Gathers what zoo.sh ran: reads the models (NUL-terminated) from stdin, writes DIR/summary.json and prints one line of counts.

Usage: zoo_summary.py DIR SECONDS COMMAND [ARGUMENT...] < models

Exit code: 0 if every model was ok, else 1.
"""
import json
import os
import sys

VERDICTS = {0: "ok", 4: "gate-failed", 5: "goal-missed", 75: "preempted"}
COPIED = ("model", "result", "metrics", "gates", "warnings")  # of the report; the model's own part is named `input` here


def read_words(path):
    """The NUL-terminated words of a file; nothing if there is no such file."""
    try:
        with open(path, "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    except FileNotFoundError:
        return []


def read_report(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def last_line(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip() for line in file if line.strip()]
    return lines[-1] if lines else None


def summarize(folder, index, model):
    base = os.path.join(folder, "runs", f"{index:05d}")
    words = read_words(f"{base}.done")
    if not words:
        return {"path": model, "verdict": "not-run"}
    _, code, microseconds, *command = words
    report = read_report(f"{base}.report.json")
    row = {
        "path": model,
        "verdict": report.get("verdict") or VERDICTS.get(int(code), "error"),
        "exit_code": int(code),
        "error": None if code == "0" else report.get("error") or last_line(f"{base}.log"),
        "duration": int(microseconds) / 1e6,
        "command": ["pare", *command],
        "log": f"{base}.log",
    }
    row.update({"input" if key == "model" else key: report[key] for key in COPIED if report.get(key)})
    return row


def main():
    if len(sys.argv) < 4 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if "--help" in sys.argv[1:2] or "-h" in sys.argv[1:2] else 2
    folder, seconds, *step = sys.argv[1:]
    models = [os.fsdecode(word) for word in sys.stdin.buffer.read().split(b"\0")[:-1]]
    rows = [summarize(folder, index, model) for index, model in enumerate(models, 1)]
    ok = sum(row["verdict"] == "ok" for row in rows)
    not_run = sum(row["verdict"] == "not-run" for row in rows)
    summary = {
        "step": step, "models": len(rows), "ok": ok, "failed": len(rows) - ok - not_run, "not_run": not_run,
        "duration": int(seconds), "runs": rows,
    }
    path = os.path.join(folder, "summary.json")
    with open(f"{path}.tmp", "w", encoding="utf-8") as file:
        json.dump(summary, file, indent=2)
        file.write("\n")
    os.replace(f"{path}.tmp", path)
    print(f"{ok} ok, {summary['failed']} failed, {not_run} not run, {seconds} s: {path}", file=sys.stderr)
    return 0 if ok == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
