# SPDX-License-Identifier: Apache-2.0
"""csend's lesson: three hosts on one bridge run `kith test`. Every message must arrive in order while the test runs, also when
480 and 48,000 are sent at once. Prints latency and connect times.

Usage: csend_test.py KITH [--judge-times] [--repeat N] [CASE ...]"""
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netns import Failure, Network, enter  # noqa: E402

HOSTS = ["ana", "bo", "cy"]
NAMES = {"ana": "ana", "bo": "bo", "cy": "cy\x1b[2J\u202e\u0007"}  # one that would clear the others' screens
DEADLINE_S = 60
CONNECT_MS = 100  # promised
P99_MS = 50  # promised, for the sequence

# messages per kind, peer and round; seconds between rounds; whether latency is promised
CASES = {
    "sequence": (3, 0.25, True),  # 36 counted, 48 on the wire
    "burst_48": (3, 0, True),
    "burst_480": (30, 0, False),
    "burst_48000": (3000, 0, False),
}


def start(program, host, home, messages, pause):
    words = [program, "test", "--json", "--peers", str(len(HOSTS) - 1), "--messages", str(messages), "--pause", str(pause),
             "--name", NAMES[host], "--home", os.path.join(home, host), "-W", str(DEADLINE_S)]
    return subprocess.Popen(["nsenter", f"--net=/run/netns/{host}"] + words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def run(program, case, judge):
    messages, pause, promised = CASES[case]
    net = Network(*HOSTS)
    running = {}
    try:
        bridge = net.bridge()
        for number, host in enumerate(HOSTS, 1):
            net.plug(host, bridge, f"10.8.0.{number}/24")
        net.settle()
        peers = len(HOSTS) - 1
        wire = 4 * messages * 2 * peers
        with tempfile.TemporaryDirectory(prefix="kith-csend-") as home:
            running = {host: start(program, host, home, messages, pause) for host in HOSTS}
            until = time.monotonic() + DEADLINE_S + 10
            said = {host: process.communicate(timeout=until - time.monotonic()) for host, process in running.items()}
        lines = {host: [json.loads(line) for line in out.splitlines()] for host, (out, _) in said.items()}
        links, verdicts = [], []
        for host in HOSTS:
            result = [line for line in lines[host] if line["type"] == "result"]
            if running[host].returncode != 0 or len(result) != 1 or not result[0]["ok"]:
                raise Failure(f"{host} ended with {running[host].returncode}: {said[host][0]}{said[host][1]}")
            counted = (result[0]["counted"], result[0]["on_wire"])
            if counted != (4 * messages * (1 + peers), wire):
                raise Failure(f"{host} counted {counted}")
            verdicts.append(result[0])
            of = [line for line in lines[host] if line["type"] == "test"]
            if len({line["peer"] for line in of}) != peers:
                raise Failure(f"{host} reported {len(of)} peers")
            for line in of:
                if any(ord(c) < 0x20 or ord(c) == 0x202E for c in line["name"]):
                    raise Failure(f"{host} was given the name {line['name']!r} and does not clean it")
                numbers = (line["sent"], line["received"], line["expected"], line["wrong"], line["refused"])
                if numbers != (wire // peers, wire // peers, wire // peers, 0, 0):
                    raise Failure(f"{host} and {line['name']}: sent, received, expected, wrong, refused are {numbers}")
            links += of
        connects = [line["connect_ms"] for line in links if "connect_ms" in line]
        if len(connects) < 3:
            raise Failure(f"three links were made, and {len(connects)} dials measured")
        p50 = max(line["p50_ms"] for line in links)
        p99 = max(line["p99_ms"] for line in links)
        way = max(line["one_way_p99_ms"] for line in links)
        print(f"{case:12} {wire} on the wire from each of {len(HOSTS)}: all in order; sent within {max(v['sent_ms'] for v in verdicts):.0f} ms, "
              f"there after {max(v['took_ms'] for v in verdicts):.0f} ms; send to receipt p50 {p50:.2f} ms, p99 {p99:.2f} ms; "
              f"one way p99 {way:.2f} ms; connects {min(connects):.1f} to {max(connects):.1f} ms", flush=True)
        if judge and max(connects) > CONNECT_MS:
            raise Failure(f"a connect took {max(connects):.0f} ms; promised are {CONNECT_MS} ms")
        if judge and promised and max(p99, way) > P99_MS:
            raise Failure(f"p99 is {max(p99, way):.0f} ms; promised are {P99_MS} ms")
    finally:
        for process in running.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        net.close()


def main():
    words = sys.argv[1:]
    judge = "--judge-times" in words
    repeat = int(words[words.index("--repeat") + 1]) if "--repeat" in words else 1
    cases = [word for word in words[1:] if word in CASES] or list(CASES)
    enter()
    failed = 0
    for _ in range(repeat):
        for case in cases:
            try:
                run(os.path.abspath(words[0]), case, judge)
            except (Failure, subprocess.TimeoutExpired) as failure:
                failed += 1
                print(f"{case:12} FAILED: {failure}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
