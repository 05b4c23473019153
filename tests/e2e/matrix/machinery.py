# SPDX-License-Identifier: Apache-2.0
"""What the rows of the fault matrix are made of: pairs of processes with histories, the networks between them, and a row that
counts and judges."""
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
from netns import Failure, Network, Peer, enter  # noqa: E402,F401

RATE = 500  # messages a second each way, of 64 B to 4 KiB
out = threading.Lock()


def say(row, text):
    with out:
        print(f"{row:4} {text}", flush=True)


def percentile(values, p):
    values = sorted(values)
    return values[max(0, math.ceil(p * len(values)) - 1)] if values else 0.0


class Pair:
    """Two processes with histories, on hosts with these IP addresses. `reach(port)` is where the second reaches the first, with ID
    to be filled in; with `lan` they find each other."""

    def __init__(self, row, number, hosts, ips, reach, lan=False, rate=RATE, queue=8):
        self.row, self.folder = row, tempfile.mkdtemp(prefix=f"{row}-{number}-", dir=row.folder)
        self.logs = [os.path.join(self.folder, f"{node}.jsonl") for node in (0, 1)]
        program = os.path.join(row.programs, "delivery_peer")
        self.peers = [Peer(program, host, **{"node": node, "log": self.logs[node], "strength": row.strength, "rate": rate,
                                             "queue-mib": queue, "lan": int(lan)})
                      for node, host in enumerate(hosts)]
        ids = [peer.id for peer in self.peers]
        ports = [int(peer.of("ready")[0]["addresses"][0].split("/tcp/")[1].split("/")[0]) for peer in self.peers]
        for node, peer in enumerate(self.peers):
            other = 1 - node
            self.tell(peer, f"peer {other} {ids[other]} /ip4/{ips[other]}/tcp/{ports[other]}/p2p/{ids[other]}")
        if not lan:
            self.tell(self.peers[1], "connect " + reach(ports[0]).replace("ID", ids[0]))
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
            ips = [f"10.7.{self.net.tag}.{side}" for side in (1, 2)]
            for ip, host in zip(ips, self.hosts):
                self.net.plug(host, self.bridge, f"{ip}/24", ipv6=False)
        self.pair = None
        try:
            self.pair = Pair(row, number, self.hosts, ips, None, lan=True, **options)
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
        self.ips = [f"10.6.{self.net.tag}.{side}" for side in (1, 2)]
        words = [word for key, value in impairment.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        self.relay = subprocess.Popen([os.path.join(row.programs, "netimp"), self.hosts[0], self.ips[0], self.hosts[1], self.ips[1]] + words,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if "ready" not in self.relay.stdout.readline():
            raise Failure("netimp did not start: is there /dev/net/tun?")
        self.pair = None

    def start(self, row, number, **options):
        self.pair = Pair(row, number, self.hosts, self.ips, lambda port: f"/ip4/{self.ips[0]}/tcp/{port}/p2p/ID", **options)
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
            left = [self.random.randrange(1, self.random.choice([2_000] + 9 * [400_000]))]  # some during the handshake
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
