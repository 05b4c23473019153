#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Durable messages while processes are killed at random times: rows R8 (the sender), R9 (the receiver) and R10 (both at once) of the
fault matrix. Usage: kill_test.py FOLDER_WITH_PROGRAMS [--kills N] [--seed S] [R8] [R9] [R10]

What must hold: every message that was receipted as stored was handed over; never twice without a mark; without a mark in order; marks
only when a receiver was killed; nothing that nobody sent."""
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

READY = 60  # seconds; far more than any start needs


class Failure(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    def __init__(self, program, folder, side, port, **more):
        words = [program, "--home", os.path.join(folder, side), "--log", os.path.join(folder, side + ".log"), "--port", str(port)]
        for key, value in more.items():
            words += ["--" + key, str(value)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.say("ready")

    def say(self, word):
        line = self.process.stdout.readline().split()
        if not line or line[0] != word:
            raise Failure(f"'{line}' instead of '{word}'")
        return line[-1]

    def kill(self):
        self.process.kill()
        self.process.wait(READY)
        self.close()

    def close(self):
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()

    def end(self):
        self.process.stdin.close()
        if self.process.wait(READY) != 0:
            raise Failure(f"ended with {self.process.returncode}")
        self.process.stdout.close()


def lines(folder, side, kind):
    with open(os.path.join(folder, side + ".log"), encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words[0] == kind and words[2] != "end":
                yield words[1:]


def place(name):
    return tuple(int(part) for part in name.split(":"))


def judge(folder, receiver_killed):
    accepted = {(channel, name) for channel, name in lines(folder, "sender", "a")}
    stored = {(channel, name) for channel, name in lines(folder, "sender", "s")}
    seen, plain, last, marks, wrong = set(), set(), {}, 0, []
    for channel, name, repeat in lines(folder, "receiver", "d"):
        message = (channel, name)
        if message not in accepted:
            wrong.append(f"{message} was never sent")
        if repeat == "1":
            marks += 1
        else:
            if message in seen:
                wrong.append(f"{message} came again without a mark")
            if place(name) <= last.get(channel, (0, 0)):
                wrong.append(f"{message} came behind {last[channel]}")
            last[channel] = place(name)
            plain.add(message)
        seen.add(message)
    lost = stored - seen
    wrong += [f"{message} was stored and is lost" for message in sorted(lost)]
    if marks and not receiver_killed:
        wrong.append(f"{marks} marks without a cause")
    if wrong:
        raise Failure(f"{len(wrong)} violations: " + "; ".join(wrong[:10]))
    return len(accepted), len(stored), len(seen), marks


def row(name, program, kills, rng):
    folder = tempfile.mkdtemp(prefix=f"kith-{name}-")
    ports = {"sender": free_port(), "receiver": free_port()}
    live, runs = {}, 0
    try:
        live["receiver"] = Process(program, folder, "receiver", ports["receiver"])
        to = live["receiver"].address

        def start(side):
            nonlocal runs
            if side == "receiver":
                live[side] = Process(program, folder, side, ports[side])
            else:
                runs += 1
                live[side] = Process(program, folder, side, ports[side], to=to, run=runs)

        start("sender")
        victims = {"R8": ["sender"], "R9": ["receiver"], "R10": ["receiver", "sender"]}[name]
        begin = time.monotonic()
        for _ in range(kills):
            time.sleep(rng.uniform(0.01, 0.4))
            for side in victims:
                live[side].kill()
            for side in victims:
                start(side)
        live["sender"].process.stdin.write("drain\n")
        live["sender"].process.stdin.flush()
        live["sender"].say("drained")
        for side in ("sender", "receiver"):
            live[side].end()
        figures = judge(folder, name != "R8")
        print(f"{name}: {kills} kills, {time.monotonic() - begin:.0f} s: %d accepted, %d stored, %d handed over, %d marks" % figures, flush=True)
        shutil.rmtree(folder)
        return True
    except (Failure, OSError) as failure:
        print(f"{name}: FAILED: {failure}\n{name}: its histories and databases are in {folder}", flush=True)
        return False
    finally:
        for process in live.values():
            if process.process.poll() is None:
                process.kill()


def main():
    words = sys.argv[2:]
    kills, seed, rows = 100, random.randrange(1 << 32), []
    while words:
        word = words.pop(0)
        if word == "--kills":
            kills = int(words.pop(0))
        elif word == "--seed":
            seed = int(words.pop(0))
        else:
            rows.append(word)
    print(f"seed {seed}", flush=True)
    program = os.path.join(os.path.abspath(sys.argv[1]), "durable_peer")
    good = [row(name, program, kills, random.Random(f"{seed} {name}")) for name in rows or ["R8", "R9", "R10"]]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
