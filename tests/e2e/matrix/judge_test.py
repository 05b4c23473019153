# SPDX-License-Identifier: Apache-2.0
"""The judge is judged: a real history passes, and each planted fault in it is found. Usage: judge_test.py FOLDER_WITH_PROGRAMS"""
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from netns import Failure, Peer  # noqa: E402


class Local(Peer):
    """A peer on this machine, without a namespace."""
    @staticmethod
    def words(_, program):
        return [program]


def tell(peer, line):
    peer.process.stdin.write(line + "\n")
    peer.process.stdin.flush()


def history(programs, folder):
    logs = [os.path.join(folder, f"{node}.jsonl") for node in (0, 1)]
    peers = [Local(os.path.join(programs, "delivery_peer"), f"node {node}", node=node, log=log, rate=2000) for node, log in enumerate(logs)]
    try:
        ports = [(peer.id, peer.of("ready")[0]["addresses"][0].split("/tcp/")[1].split("/")[0]) for peer in peers]
        addresses = [f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer}" for peer, port in ports]
        for node, peer in enumerate(peers):
            tell(peer, f"peer {1 - node} {ports[1 - node][0]} {addresses[1 - node]}")
        tell(peers[1], f"connect {addresses[0]}")
        for peer in peers:
            peer.wait("a link", lambda line: line["type"] == "peer" and line["state"] == "identified", time.monotonic() + 20)
            tell(peer, "run")
        until = time.monotonic() + 20
        for peer in peers:
            count = 0
            while count < 200:
                start = len(peer.lines)
                tell(peer, "stats")
                count = peer.wait("stats", lambda line: line["type"] == "stats", until, start)["received"]
        for peer in peers:
            tell(peer, "pause")
            tell(peer, "drain")
        for peer in peers:
            peer.wait("drained", lambda line: line["type"] == "drained", until)
    finally:
        for peer in peers:
            peer.process.stdin.close()
            if peer.process.wait(20) != 0:
                raise Failure(peer.said())
    return logs


def judge(programs, logs):
    done = subprocess.run([os.path.join(programs, "history_check")] + logs, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


def first(lines, kind, skip=10):
    return [number for number, line in enumerate(lines) if line["k"] == kind][skip]


def lost(lines):
    del lines[first(lines, "deliver")]


def twice(lines):
    at = first(lines, "deliver")
    lines.insert(at, dict(lines[at]))


def swapped(lines):
    one = first(lines, "deliver")
    same = ("channel", "priority", "from")
    other = next(n for n in range(one + 1, len(lines)) if lines[n]["k"] == "deliver" and all(lines[n][k] == lines[one][k] for k in same))
    lines[one]["t"], lines[other]["t"] = lines[other]["t"], lines[one]["t"]


def other_bytes(lines):
    lines[first(lines, "deliver")]["hash"] = "1"


def never_sent(lines):
    lines[first(lines, "deliver")]["n"] = 1_000_000


def marked(lines):
    lines[first(lines, "deliver")]["repeat"] = True


def no_receipt(lines):
    del lines[first(lines, "receipt")]


def two_receipts(lines):
    at = first(lines, "receipt")
    lines.insert(at, dict(lines[at]))


def false_receipt(lines):
    accepted = [line for line in lines if line["k"] == "accept"][10]
    answer = next(line for line in lines if line["k"] == "receipt" and all(line[k] == accepted[k] for k in ("channel", "priority", "n")))
    answer["t"] = accepted["t"]


def failed(lines):
    lines[first(lines, "receipt")]["outcome"] = "failed"


FAULTS = [lost, twice, swapped, other_bytes, never_sent, marked, no_receipt, two_receipts, false_receipt, failed]


def main():
    programs = os.path.abspath(sys.argv[1])
    wrong = []
    with tempfile.TemporaryDirectory(prefix="kith-judge-") as folder:
        logs = history(programs, folder)
        code, verdict = judge(programs, logs)
        if code != 0 or verdict["violations"] or verdict["accepted"] < 400 or verdict["delivered"] != verdict["accepted"]:
            wrong.append(f"the real history: {verdict}")
        with open(logs[0], encoding="utf-8") as file:
            good = file.read().splitlines()
        planted = os.path.join(folder, "planted.jsonl")
        for fault in FAULTS:
            lines = [json.loads(line) for line in good]
            fault(lines)
            with open(planted, "w", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
            code, verdict = judge(programs, [planted, logs[1]])
            if code == 0 or not verdict["violations"]:
                wrong.append(f"'{fault.__name__}' was not found")
    print(f"{len(FAULTS)} planted faults" + ("" if not wrong else ": FAILED: " + "; ".join(wrong)))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
