# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix between two real processes in network namespaces. Each process writes its history; history_check
judges them: nothing lost, twice, out of order or changed, and a receipt for everything. Times that a row promises are judged with
--judge-times. --scale S does S times the repetitions that the matrix asks for (default 0.1); some pairs of hosts work beside each
other, and the rows that mostly wait as well.

Usage: matrix_test.py FOLDER_WITH_PROGRAMS [--scale S] [--strength reliable] [--judge-times] [ROW ...]"""
import json
import math
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from netns import Failure, Network, Peer, enter  # noqa: E402

PAIRS = 4  # of hosts at the same time
RATE = 500  # messages a second each way, of 64 B to 4 KiB
DETECT_S = 16  # a dead link is found after 15 s
RELINK_S = 35  # the longest back-off, and a dial into the void
DRAIN_S = 5  # after the link is back
out = threading.Lock()


def say(row, text):
    with out:
        print(f"{row:4} {text}", flush=True)


def percentile(values, p):
    values = sorted(values)
    return values[max(0, math.ceil(p * len(values)) - 1)] if values else 0.0


class Pair:
    """Two processes with histories. `addresses` is where the first is reached, with PORT and ID to be filled in."""

    def __init__(self, row, number, hosts, reach, lan=False, rate=RATE, queue=8):
        self.row, self.folder = row, tempfile.mkdtemp(prefix=f"{row}-{number}-", dir=row.folder)
        self.logs = [os.path.join(self.folder, f"{node}.jsonl") for node in (0, 1)]
        program = os.path.join(row.programs, "delivery_peer")
        self.peers = [Peer(program, host, **{"node": node, "log": self.logs[node], "strength": row.strength, "rate": rate,
                                             "queue-mib": queue, "lan": int(lan)})
                      for node, host in enumerate(hosts)]
        ids = [peer.id for peer in self.peers]
        addresses = [[a for a in peer.of("ready")[0]["addresses"] if a.startswith("/ip4/10.")][0] for peer in self.peers]
        for node, peer in enumerate(self.peers):
            self.tell(peer, f"peer {1 - node} {ids[1 - node]} {addresses[1 - node]}")
        port = self.peers[0].of("ready")[0]["addresses"][0].split("/tcp/")[1].split("/")[0]
        self.port = int(port)
        if not lan:
            self.tell(self.peers[1], "connect " + reach(self.port).replace("ID", ids[0]))
        for peer in self.peers:
            # Then each knows an address of the other, and accepts messages for it also without a link.
            peer.wait("a link", lambda line: line["type"] == "peer" and line["state"] == "identified", time.monotonic() + 20)

    @staticmethod
    def tell(peer, line):
        peer.process.stdin.write(line + "\n")
        peer.process.stdin.flush()

    def all(self, line):
        for peer in self.peers:
            self.tell(peer, line)

    def events(self, node, state, since=0):
        return [line for line in self.peers[node].of("peer") if line["state"] == state and line["at"] >= since]

    def wait_event(self, node, state, since, seconds):
        return self.peers[node].wait(f"'{state}'", lambda line: line["type"] == "peer" and line["state"] == state and line["at"] >= since,
                                     time.monotonic() + seconds)["at"]

    def stats(self, node):
        peer = self.peers[node]
        start = len(peer.lines)
        self.tell(peer, "stats")
        return peer.wait("stats", lambda line: line["type"] == "stats", time.monotonic() + 20, start)

    def drain(self, seconds):
        """Until all is delivered; how long it took."""
        begin = time.monotonic()
        self.all("pause")
        self.all("drain")
        for peer in self.peers:
            peer.wait("everything delivered", lambda line: line["type"] == "drained" and line["at"] >= begin, begin + seconds)
        return time.monotonic() - begin

    def judge(self):
        for peer in self.peers:
            peer.process.stdin.close()
            if peer.process.wait(20) != 0:
                raise Failure(f"{peer.host} ended with {peer.process.returncode}:\n{peer.said()}")
            peer.reader.join(5)
        done = subprocess.run([os.path.join(self.row.programs, "history_check")] + self.logs, capture_output=True, text=True)
        verdict = json.loads(done.stdout)
        if done.returncode != 0 or verdict["violations"]:
            raise Failure("the history is wrong:\n    " + "\n    ".join(verdict["violations"]))
        ends = [peer.of("end")[0] for peer in self.peers]
        if any(end["resyncs"] or end["decrypt_failures"] for end in ends):
            raise Failure(f"resynchronisations or damaged records: {ends}")
        self.row.messages += verdict["accepted"]
        return ends

    def close(self):
        for peer in self.peers:
            if peer.process.poll() is None:
                peer.process.send_signal(signal.SIGCONT)
                peer.kill()


class Row:
    """One row: `work(number, repetitions)` in several pairs at once; what it measures is added to `measured`."""

    def __init__(self, name, programs, folder, scale, strength, judged, asked, work, pairs):
        self.name, self.programs, self.folder, self.strength = name, programs, folder, strength
        self.repetitions = max(1, round(asked * scale))
        self.pairs = min(pairs, self.repetitions)
        self.scale, self.work, self.judged = scale, work, judged
        self.messages = 0
        self.measured = {}
        self.bounds = {}  # what was measured: a quantile of it, and the most that is promised for that
        self.failures = []

    def add(self, what, value):
        with out:
            self.measured.setdefault(what, []).append(value)

    def promise(self, what, value, most):
        """A time, or another number that a busy machine makes worse."""
        self.add(what, value)
        if self.judged and value > most:
            raise Failure(f"{what}: {value:.2f}; promised are {most}")

    def run(self):
        begin = time.monotonic()

        def one(number):
            share = self.repetitions // self.pairs + (1 if number < self.repetitions % self.pairs else 0)
            try:
                self.work(self, number, share)
            except Failure as failure:
                self.failures.append(str(failure))
            except Exception:
                self.failures.append(traceback.format_exc())

        threads = [threading.Thread(target=one, args=(number,)) for number in range(self.pairs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for what, (quantile, most) in self.bounds.items() if self.judged else ():
            value = percentile(self.measured.get(what, []), quantile)
            if value > most:
                self.failures.append(f"p{quantile * 100:.0f} of {what} is {value:.2f}; promised are {most}")
        figures = "; ".join(f"{what} p50 {percentile(v, 0.5):.2f}, p99 {percentile(v, 0.99):.2f}, most {max(v):.2f}"
                            for what, v in self.measured.items())
        say(self.name, f"{self.repetitions} times, {self.messages} messages {self.strength}, {time.monotonic() - begin:.0f} s: {figures}")
        for failure in self.failures:
            say(self.name, f"FAILED: {failure}")
        return not self.failures


made = threading.Lock()


class Lan:
    """Two hosts on a bridge, found by mDNS."""

    def __init__(self, row, number, **options):
        with made:
            self.hosts = [f"{row.name.lower()}-{number}-{side}" for side in "ab"]
            self.net = Network(*self.hosts)
            self.bridge = self.net.bridge()
            for side, host in enumerate(self.hosts, 1):
                self.net.plug(host, self.bridge, f"10.7.{self.net.tag}.{side}/24", ipv6=False)
        self.pair = None
        try:
            self.pair = Pair(row, number, self.hosts, None, lan=True, **options)
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.pair:
            self.pair.close()
        with made:
            self.net.close()


class Impaired:
    """Two hosts behind netimp."""

    def __init__(self, row, number, **impairment):
        with made:
            self.hosts = [f"{row.name.lower()}-{number}-{side}" for side in "ab"]
            self.net = Network(*self.hosts)
        addresses = [f"10.6.{self.net.tag}.{side}" for side in (1, 2)]
        words = [word for key, value in impairment.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        self.relay = subprocess.Popen([os.path.join(row.programs, "netimp"), self.hosts[0], addresses[0], self.hosts[1], addresses[1]] + words,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if "ready" not in self.relay.stdout.readline():
            raise Failure("netimp did not start: is there /dev/net/tun?")
        self.address = addresses[0]
        self.pair = None

    def start(self, row, number, **options):
        self.pair = Pair(row, number, self.hosts, lambda port: f"/ip4/{self.address}/tcp/{port}/p2p/ID", **options)
        return self.pair

    def drop(self, what):
        self.relay.stdin.write(f"drop {what}\n")
        self.relay.stdin.flush()
        self.relay.stdout.readline()

    def close(self):
        if self.pair:
            self.pair.close()
        self.relay.kill()
        self.relay.wait()
        with made:
            for host in self.hosts:
                subprocess.run(["ip", "netns", "del", host], check=False)


class Proxy:
    """Forwards TCP on every address of ours to a port of a host, and resets both sides after a random number of bytes."""

    def __init__(self, host, seed):
        self.target, self.random = None, random.Random(seed)
        self.cuts, self.cutting = [], True
        self.server = socket.create_server(("0.0.0.0", 0), backlog=64)
        self.port = self.server.getsockname()[1]
        self.host = host
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.server.accept()
                far = socket.create_connection(self.target, 5)
            except OSError:
                return
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            left = [self.random.randrange(1, self.random.choice([2_000, 400_000, 400_000, 400_000]))]  # some during the handshake
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink, left), daemon=True).start()

    def _copy(self, source, sink, left):
        try:
            while True:
                data = source.recv(min(65536, max(1, left[0])) if self.cutting else 65536)
                if not data:
                    break
                sink.sendall(data)
                left[0] -= len(data)
                if self.cutting and left[0] <= 0:
                    self.cuts.append(time.monotonic_ns())
                    break
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, not FIN
                end.shutdown(socket.SHUT_RD)
                end.close()
            except OSError:
                pass


# ---- the rows


def goodput(target, host, seconds):
    """Bytes a second of a plain TCP connection from the first host to the second."""
    serve = ("import socket,sys,time\ns=socket.create_server(('0.0.0.0',7000))\nprint('up',flush=True)\nc,_=s.accept()\nn=0\nt=time.time()\n"
             f"while time.time()<t+{seconds}:\n d=c.recv(1<<16)\n if not d: break\n n+=len(d)\nprint(n/(time.time()-t))")
    send = (f"import socket,time\nc=socket.create_connection(('{target}',7000))\nt=time.time()\nc.settimeout({seconds})\n"
            f"try:\n while time.time()<t+{seconds}+2: c.send(bytes(1<<16))\nexcept OSError: pass")
    receiver = subprocess.Popen(["nsenter", f"--net=/run/netns/{host[0]}", sys.executable, "-c", serve], stdout=subprocess.PIPE, text=True)
    receiver.stdout.readline()
    sender = subprocess.Popen(["nsenter", f"--net=/run/netns/{host[1]}", sys.executable, "-c", send], stderr=subprocess.DEVNULL)
    rate = float(receiver.communicate(timeout=seconds + 20)[0])
    sender.kill()
    sender.wait()
    return rate


IMPAIRMENT = {"delay_ms": 25, "loss": 5, "duplicate": 1, "reorder": 5, "corrupt": 1, "rate_mbit": 20}


def r1(row, number, _):
    """Loss, duplicates, reordering and damage of packets; beside what plain TCP makes of the same network."""
    seconds = max(5, 600 * row.scale)
    net = Impaired(row, number, seed=number + 1, **IMPAIRMENT)
    try:
        plain = goodput(net.address, net.hosts, seconds / 2)
    finally:
        net.close()
    net = Impaired(row, number, seed=number + 1, **IMPAIRMENT)
    try:
        pair = net.start(row, number, rate=0)
        Pair.tell(pair.peers[1], "run")
        begin, before = time.monotonic(), pair.stats(0)["bytes"]
        time.sleep(seconds)
        rate = (pair.stats(0)["bytes"] - before) / (time.monotonic() - begin)
        pair.drain(120)
        pair.judge()
        row.add("KB/s", rate / 1e3)
        row.promise("plain TCP's goodput in ours", plain / max(rate, 1), 1 / 0.6)
    finally:
        net.close()


def r2(row, number, times):
    """A reset at any byte."""
    with made:
        hosts = [f"r2-{number}-{side}" for side in "ab"]
        net = Network(*hosts)  # two bridges and no way between them but the proxy
        for side, host in enumerate(hosts, 1):
            bridge = net.bridge()
            net.plug(host, bridge, f"10.5.{net.tag * 2 + side}.1/24", ipv6=False)
            subprocess.run(["ip", "addr", "add", f"10.5.{net.tag * 2 + side}.254/24", "dev", bridge], check=True)
    pair = None
    proxy = Proxy(hosts[0], number)
    try:
        def reach(port):
            proxy.target = (f"10.5.{net.tag * 2 + 1}.1", port)
            return f"/ip4/10.5.{net.tag * 2 + 2}.254/tcp/{proxy.port}/p2p/ID"
        proxy.cutting = False
        pair = Pair(row, number, hosts, reach)
        proxy.cutting = True
        pair.all("run")
        until = time.monotonic() + 20 + 5 * times
        while len(pair.events(1, "disconnected")) < times:
            if time.monotonic() > until:
                raise Failure(f"only {len(pair.events(1, 'disconnected'))} of {times} cuts")
            time.sleep(0.05)
        proxy.cutting = False
        pair.drain(RELINK_S)
        changes = [line for line in pair.peers[1].of("peer") if line["state"] in ("connected", "disconnected")]
        row.bounds["s from the last reset to a new link"] = (0.99, 1.0)
        for before, after in zip(changes, changes[1:]):
            if after["state"] == "connected":  # an attempt may have been reset meanwhile
                last = max([cut for cut in list(proxy.cuts) if before["ns"] < cut < after["ns"]], default=before["ns"])
                row.add("s from the last reset to a new link", (after["ns"] - last) / 1e9)
                row.add("s from the first", (after["ns"] - before["ns"]) / 1e9)
        ends = pair.judge()
        cuts = len(pair.events(1, "disconnected"))
        for end in ends:
            row.promise("messages repeated for each cut", (end["messages_sent"] - end["accepted"]) / cuts, 256)
    finally:
        if pair:
            pair.close()
        proxy.server.close()
        with made:
            net.close()


def r3(row, number, times):
    """No packet for a second."""
    lan = Lan(row, number)
    try:
        lan.pair.all("run")
        time.sleep(1)
        for _ in range(times):
            lan.net.cut(lan.hosts[0])
            time.sleep(1)
            lan.net.join(lan.hosts[0], lan.bridge)
            time.sleep(3)
        lan.pair.drain(20)
        if lan.pair.events(0, "disconnected") or lan.pair.events(1, "disconnected"):
            raise Failure("a link ended; TCP survives a second")
        stall = max(end["max_stall_ms"] for end in lan.pair.judge()) / 1e3
        row.promise("s longest stall", stall, 3)
    finally:
        lan.close()


def r4(row, number, times):
    """No packet for a minute."""
    seconds = 60
    lan = Lan(row, number, queue=256)
    try:
        for _ in range(times):
            lan.pair.all("run")
            time.sleep(2)
            at = time.monotonic()
            lan.net.cut(lan.hosts[0])
            for node in (0, 1):
                row.promise("s until noticed", lan.pair.wait_event(node, "disconnected", at, DETECT_S + 15) - at, DETECT_S)
            time.sleep(at + seconds - time.monotonic())
            lan.net.join(lan.hosts[0], lan.bridge)
            healed = time.monotonic()
            linked = lan.pair.wait_event(1, "connected", healed - 0.5, RELINK_S)
            row.add("s to a new link", linked - healed)
            lan.pair.drain(RELINK_S + DRAIN_S)
            row.promise("s drained after it", time.monotonic() - linked, DRAIN_S)
        lan.pair.judge()
    finally:
        lan.close()


def r6(row, number, times):
    """Packets of one side only are lost: the other still hears it."""
    net = Impaired(row, number, delay_ms=1, seed=number + 1)
    try:
        pair = net.start(row, number)
        for turn in range(times):
            pair.all("run")
            time.sleep(1)
            at = time.monotonic()
            silent = (turn + number) % 2
            net.drop("ab"[silent])
            row.promise("s until noticed", pair.wait_event(1 - silent, "disconnected", at, DETECT_S + 15) - at, DETECT_S)
            # This one hears the other, and learns of the end when TCP gets it through behind what it repeats.
            row.add("s until the silent side knew", pair.wait_event(silent, "disconnected", at, 2 * DETECT_S) - at)
            net.drop("none")
            healed = time.monotonic()
            row.add("s to a new link", pair.wait_event(1, "connected", healed - 0.5, RELINK_S) - healed)
            pair.drain(RELINK_S)
        pair.judge()
    finally:
        net.close()


def paused(seconds):
    def work(row, number, times):
        lan = Lan(row, number, queue=4)
        try:
            before = lan.pair.stats(0)["resident_mib"]
            for turn in range(times):
                lan.pair.all("run")
                time.sleep(0.5)
                asleep = lan.pair.peers[1].process
                asleep.send_signal(signal.SIGSTOP)
                time.sleep(seconds)
                stats = lan.pair.stats(0)
                asleep.send_signal(signal.SIGCONT)
                woken = time.monotonic()
                if stats["queued"] > 2 * (4 << 20):
                    raise Failure(f"{stats['queued']} bytes queued; 4 MiB are allowed for each of two channels")
                row.add("MiB grown", stats["resident_mib"] - before)
                lan.pair.drain(RELINK_S)
                row.add("s drained after it woke", time.monotonic() - woken)
                time.sleep(max(0, woken + 6 - time.monotonic()) if seconds > 10 else 0)
                links = [lan.pair.stats(node)["links"] for node in (0, 1)]
                if max(links) > 1 and seconds > 10:
                    raise Failure(f"{links} links with one peer")
            lan.pair.judge()
        finally:
            lan.close()
    work.__doc__ = f"The other process is stopped for {seconds} s."
    return work


# repetitions that the matrix asks for, pairs of hosts at once
ROWS = {
    "R1": (1, r1, 1),
    "R2": (3000, r2, PAIRS),
    "R3": (300, r3, PAIRS),
    "R4": (60, r4, PAIRS),
    "R6": (300, r6, 2 * PAIRS),
    "R7a": (300, paused(3), PAIRS),
    "R7b": (60, paused(60), PAIRS),
    "R7c": (10, paused(600), 1),
}
WAITING = ["R4", "R6", "R7b", "R7c"]


def main():
    words = sys.argv[1:]
    scale = float(words[words.index("--scale") + 1]) if "--scale" in words else 0.1
    strength = words[words.index("--strength") + 1] if "--strength" in words else "reliable"
    chosen = [word for word in words[1:] if word in ROWS] or list(ROWS)
    enter()
    good = []
    with tempfile.TemporaryDirectory(prefix="kith-matrix-") as folder:
        def run(name):
            good.append(Row(name, os.path.abspath(words[0]), folder, scale, strength, "--judge-times" in words, *ROWS[name]).run())

        for name in chosen:
            if name not in WAITING:
                run(name)
        threads = [threading.Thread(target=run, args=(name,)) for name in chosen if name in WAITING]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    sys.exit(0 if len(good) == len(chosen) and all(good) else 1)


if __name__ == "__main__":
    main()
