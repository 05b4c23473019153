# SPDX-License-Identifier: Apache-2.0
"""What takes minutes: cables cut for a second and for a minute while messages flow, hosts that come late, processes that are
stopped or killed, hosts that fall silent. The cases run beside each other, each in its own network; times are printed and judged.

Usage: long_test.py PROGRAM [CASE ...]"""
import os
import signal
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from netns import Failure, Network, Peer, enter, ip  # noqa: E402

FOUND_S = 2.0  # promised
NOTICED_S = 15.0  # promised: a peer that is gone
TOLERANCE_S = 1.0
BACK_S = 35.0  # after a long cut: the longest back-off on a LAN is 30 s, and a dial into the void has to end
out = threading.Lock()


def say(case, text):
    with out:
        print(f"{case:22} {text}", flush=True)


class Lan:
    """Hosts on one bridge, their names made unique by the case."""

    def __init__(self, case, program, count, **options):
        self.program, self.options = program, options
        self.hosts = [f"{case}-{number}" for number in range(count)]
        with out:
            self.net = Network(*self.hosts)
            self.bridge = self.net.bridge()
            for number, host in enumerate(self.hosts, 1):
                self.net.plug(host, self.bridge, f"10.9.{self.net.tag}.{number}/24")
        self.net.settle()
        self.peers = []

    def start(self, host):
        peer = Peer(self.program, host, **self.options)
        self.peers.append(peer)
        return peer

    def close(self):
        for peer in self.peers:
            if peer.process.poll() is None:
                peer.kill()
        self.net.close()


def connected(peer, other, seconds, start=0):
    return peer.wait(f"the link to {other.host}",
                     lambda line: line["type"] == "peer" and line["state"] == "connected" and line["peer"] == other.id,
                     time.monotonic() + seconds, start)


def cut(case, program, seconds, how, messages, held=False):
    """`messages` at 1,000 a second each way between two hosts; after 3 s the link is gone for `seconds`: its cable, its interface, or
    the process at one end stands still. `held`: it must be the same link afterwards."""
    lan = Lan(case, program, 2, peers=1, messages=messages, pace=1000)
    try:
        one, two = (lan.start(host) for host in lan.hosts)
        connected(one, two, 10)
        connected(two, one, 10)
        time.sleep(3)
        at = time.monotonic()
        if how == "cable":
            lan.net.cut(one.host)
        elif how == "stop":
            one.process.send_signal(signal.SIGSTOP)
        else:
            ip("link", "set", "eth0", "down", host=one.host)
        time.sleep(seconds)
        if how == "cable":
            lan.net.join(one.host, lan.bridge)
        elif how == "stop":
            one.process.send_signal(signal.SIGCONT)
        else:
            ip("link", "set", "eth0", "up", host=one.host)
        back = time.monotonic()
        until = at + messages / 1000 + seconds + BACK_S
        for peer in (one, two):
            peer.wait("everything exchanged", lambda line: line["type"] == "complete", until)
        again = [line["at"] - back for peer in (one, two) for line in peer.of("peer") if line["state"] == "connected" and line["at"] > back]
        done = time.monotonic() - back
        time.sleep(0.5)
        for peer, other in ((one, two), (two, one)):
            end = peer.finish()[other.id]
            counts = (end["received"], end["delivered"], end["wrong"], end["failed"])
            if counts != (messages, messages, 0, 0):
                raise Failure(f"received, delivered, wrong, failed are {counts} instead of {messages} twice")
        linked = f"linked again {min(again):.1f} s after its end" if again else "the link held"
        say(case, f"{seconds} s without a link, {linked}; {messages} messages each way, nothing lost, done {done:.1f} s after")
        if again and held:
            raise Failure("another link was made")
        if again and min(again) > BACK_S:
            raise Failure(f"linked again only after {min(again):.1f} s")
    finally:
        lan.close()


def cable_1s(case, program):
    cut(case, program, 1, "cable", 10_000)


def cable_60s(case, program):
    cut(case, program, 60, "cable", 70_000)


def down_1s(case, program):
    cut(case, program, 1, "interface", 10_000)


def down_60s(case, program):
    cut(case, program, 60, "interface", 70_000)


def stopped_13s(case, program):
    """SIGSTOP and SIGCONT: the own pause is not the peer's silence, and the peer waits 15 s."""
    cut(case, program, 13, "stop", 20_000, held=True)


def stopped_60s(case, program):
    cut(case, program, 60, "stop", 70_000)


def late_host(case, program):
    """The third host starts when the other two have long stopped asking often."""
    lan = Lan(case, program, 3, peers=2)
    try:
        old = [lan.start(host) for host in lan.hosts[:2]]
        connected(old[0], old[1], 10)
        time.sleep(20)
        start = time.monotonic()
        new = lan.start(lan.hosts[2])
        times = []
        for peer in old:
            times.append(connected(new, peer, 10)["at"] - start)
            times.append(connected(peer, new, 10)["at"] - start)
        for peer in old + [new]:
            peer.wait("everything exchanged", lambda line: line["type"] == "complete", time.monotonic() + 10)
            peer.finish()
        say(case, f"found and linked after {max(times) * 1000:.0f} ms")
        if max(times) > FOUND_S:
            raise Failure(f"promised are {FOUND_S} s")
    finally:
        lan.close()


def late_cable(case, program):
    """The node runs when its host gets a network, as on a laptop that joins a Wi-Fi."""
    lan = Lan(case, program, 2, peers=1)
    try:
        other = lan.start(lan.hosts[0])
        host = lan.hosts[0] + "-new"
        with out:
            ip("netns", "add", host)
            ip("link", "set", "lo", "up", host=host)
            lan.net.hosts.append(host)
        new = lan.start(host)
        first = new.id and time.monotonic()
        time.sleep(5)
        lan.net.plug(host, lan.bridge, f"10.9.{lan.net.tag}.9/24")
        start = time.monotonic()
        times = [connected(peer, met, 30)["at"] - start for peer, met in ((new, other), (other, new))]
        for peer in (new, other):
            peer.wait("everything exchanged", lambda line: line["type"] == "complete", time.monotonic() + 10)
            peer.finish()
        say(case, f"a node that ran {start - first:.0f} s without a network: linked {max(times) * 1000:.0f} ms after the cable came")
        if max(times) > FOUND_S:
            raise Failure(f"promised are {FOUND_S} s")
    finally:
        lan.close()


def gone(case, program, silent):
    lan = Lan(case, program, 3, peers=2)
    try:
        peers = [lan.start(host) for host in lan.hosts]
        for peer in peers:
            peer.wait("everything exchanged", lambda line: line["type"] == "complete", time.monotonic() + 10)
        victim, rest = peers[0], peers[1:]
        who = victim.id
        time.sleep(3)
        at = time.monotonic()
        if silent:
            lan.net.cut(victim.host)
        victim.kill()
        times = []
        for peer in rest:
            line = peer.wait("the end of the link", lambda line: line["type"] == "peer" and line["state"] == "disconnected" and
                             line["peer"] == who, time.monotonic() + 60)
            times.append(line["at"] - at)
        say(case, f"noticed after {max(times):.2f} s ({line['error']})")
        if max(times) > NOTICED_S + TOLERANCE_S:
            raise Failure(f"promised are {NOTICED_S} s")
        if any(line["state"] == "disconnected" and line["peer"] != who for peer in rest for line in peer.of("peer")):
            raise Failure("a link between the others ended too")
    finally:
        lan.close()


def killed(case, program):
    """kill -9: the system closes the sockets."""
    gone(case, program, False)


def silent_host(case, program):
    """The host loses its cable and its process: nobody says goodbye."""
    gone(case, program, True)


CASES = {case.__name__: case for case in (cable_1s, cable_60s, down_1s, down_60s, stopped_13s, stopped_60s, late_host,
                                          late_cable, killed, silent_host)}


def main():
    names = [word for word in sys.argv[2:] if word in CASES] or list(CASES)
    enter()
    failed = []

    def run(name):
        try:
            CASES[name](name, os.path.abspath(sys.argv[1]))
        except Failure as failure:
            failed.append(name)
            say(name, f"FAILED: {failure}")
        except Exception:  # the other cases still say what they have to say
            failed.append(name)
            say(name, f"FAILED:\n{traceback.format_exc()}")

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
