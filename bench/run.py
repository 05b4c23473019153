# SPDX-License-Identifier: Apache-2.0
"""Runs every benchmark and prints one table: ours beside the machine's limit or a rival, the ratio, the first target.

Usage: run.py FOLDER_WITH_PROGRAMS RESULT.json [NAME ...]
Ends with 1 only when the gate fails (64 B messages not faster than ZeroMQ CURVE) or a benchmark does not run."""
import json
import os
import platform
import subprocess
import sys
import time

# (arguments, seconds it may take)
RUNS = {
    "messages": [(["messages", "--size", "64", "--count", "2000000", "--repeat", "3", "--json"], 90),
                 (["messages", "--size", "1024", "--count", "500000", "--repeat", "3", "--json"], 90),
                 (["messages", "--size", "65536", "--count", "10000", "--repeat", "3", "--json"], 90)],
    "durable": [(["messages", "--durable", "--size", "64", "--count", "300000", "--repeat", "3", "--json"], 90),
                (["messages", "--durable", "--size", "1024", "--count", "100000", "--repeat", "3", "--json"], 90)],
    "connections": [(["connections"], 60)],
    "bulk": [(["bulk"], 90)],
    "round_trip": [(["round_trip"], 60)],
    "latency": [(["latency"], 60)],
    "slow_receiver": [(["slow_receiver"], 90)],
    "memory": [(["memory"], 150)],
    "store": [(["store"], 60)],
}

# name: what is judged, the bound, "at least" or "at most"; for messages only beside CURVE
TARGETS = {
    "connections": ("ours", 1500, ">="),
    "bulk upload": ("ratio", 0.6, ">="),
    "bulk download": ("ratio", 0.6, ">="),
    "round trip p50": ("ratio", 2, "<="),
    "latency p95, window 1": ("ratio", 0.1, "<="),
    "latency p95, window 100": ("ratio", 0.1, "<="),
    "slow: other channel": ("ratio", 0.8, ">="),
    "slow: other peer": ("ratio", 0.8, ">="),
    "memory accepted": ("ours", 32 * 1024, "<="),
    "memory dialled": ("ours", 32 * 1024, "<="),
    "memory, 1 message": ("ours", 32 * 1024, "<="),
    "messages 64 B": ("ratio", 1, ">="),
    "durable messages 64 B": ("ours", 50_000, ">="),
    "stored, 100 a commit, of CPU": ("ours", 120_000, ">="),
    "stored and settled, of CPU": ("ours", 60_000, ">="),
    "put and processed, of CPU": ("ours", 60_000, ">="),
}
GATE = "messages 64 B"


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def load():
    return os.getloadavg()[0]


def judge(entry):
    """The target as text and whether it is met; None: there is none."""
    target = TARGETS.get(entry["name"])
    if target is None or entry["beside"] == "ZeroMQ plain":
        return "", None
    what, bound, direction = target
    value = entry["ours"] if what == "ours" else entry["ratio"]
    met = value >= bound if direction == ">=" else value <= bound
    return f"{direction} {number(bound)}" + ("" if what == "ours" else " x"), met


def main():
    folder, target = sys.argv[1:3]
    chosen = sys.argv[3:] or list(RUNS)
    start = time.monotonic()
    entries, notes, broken = [], [], []
    before = load()
    for name in chosen:
        for words, seconds in RUNS[name]:
            command = [os.path.join(folder, "bench_" + words[0])] + words[1:]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
            except subprocess.TimeoutExpired:
                broken.append(f"{' '.join(words)}: not done after {seconds} s")
                continue
            for line in done.stdout.splitlines():
                if line.startswith('{"'):
                    entry = json.loads(line)
                    (notes if "note" in entry else entries).append(entry)
                else:
                    print(line, flush=True)
            if done.returncode != 0 and not (name == "messages" and done.returncode == 1):
                broken.append(f"{' '.join(words)}: ended with {done.returncode}: {done.stderr.strip()}")
    failed = list(broken)
    rows = [("", "ours", "", "machine's limit or rival", "ratio", "first target", "met?")]
    for entry in entries:
        entry["ratio"] = entry["ours"] / entry["other"] if entry["other"] else 0
        text, met = judge(entry)
        entry["target"], entry["met"] = text, met
        rows.append((entry["name"], number(entry["ours"]), entry["unit"], f"{number(entry['other'])} {entry['beside']}",
                     f"{entry['ratio']:.2f}", text, "" if met is None else "yes" if met else "NO"))
        if entry["name"] == GATE and met is False:
            failed.append("the gate: 64 B messages are slower than ZeroMQ CURVE")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print()
    for row in rows:
        cells = [cell.rjust(width) if column in (1, 4) else cell.ljust(width) for column, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())
    print()
    for note in notes:
        print(f"{note['name']}: {note['note']}")
    took = time.monotonic() - start
    print(f"took {took:.0f} s; load before {before:.2f}, after {load():.2f} ({os.cpu_count()} processors): a busy machine makes all of it worse")
    with open(target, "w", encoding="utf-8") as file:
        json.dump({"v": 1, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": platform.machine(),
                   "kernel": platform.release(), "processors": os.cpu_count(), "load": [before, load()], "results": entries,
                   "notes": notes, "failed": failed}, file, indent=1)
    for line in failed:
        print("FAILED: " + line)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
