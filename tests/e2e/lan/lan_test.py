# SPDX-License-Identifier: Apache-2.0
"""Hosts on one LAN, each with a node that was told nothing, find each other and exchange numbered messages both ways between
every pair: none lost, none twice, in order.

Usage: lan_test.py PROGRAM [--judge-times] [--repeat N] [CASE ...]
Without --judge-times the times are printed, and five times the promised one is the deadline."""
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from netns import Failure, Network, Peer, enter, ip  # noqa: E402

PROMISED_MS = 2000  # from start() to found, every pair
DEADLINE_S = 10
MESSAGES = 1000


def default_setup(net):
    """IPv4 with a default route, IPv6 link-local: what a home network gives."""
    bridge = net.bridge()
    ip("addr", "add", "10.1.0.254/24", "dev", bridge)
    for number, host in enumerate(net.hosts, 1):
        net.plug(host, bridge, f"10.1.0.{number}/24")
        ip("route", "add", "default", "via", "10.1.0.254", host=host)


def no_default_route(net):
    bridge = net.bridge()
    for number, host in enumerate(net.hosts, 1):
        net.plug(host, bridge, f"10.2.0.{number}/24", ipv6=False)


def ipv6_unique_local(net):
    bridge = net.bridge()
    for number, host in enumerate(net.hosts, 1):
        net.plug(host, bridge, f"fd00:3::{number}/64")


def ipv6_link_local(net):
    bridge = net.bridge()
    for host in net.hosts:
        net.plug(host, bridge)


def two_interfaces(net):
    """The first host stands in two networks with one other host each."""
    one, two = net.bridge(), net.bridge()
    middle, left, right = net.hosts
    net.plug(middle, one, "10.5.1.1/24")
    net.plug(middle, two, "10.5.2.1/24")
    net.plug(left, one, "10.5.1.2/24")
    net.plug(right, two, "10.5.2.2/24")
    return {middle: {left, right}, left: {middle}, right: {middle}}


CASES = {case.__name__: case for case in (default_setup, no_default_route, ipv6_unique_local, ipv6_link_local, two_interfaces)}


def run(case, program, judge):
    hosts = ["a", "b", "c"]
    net = Network(*hosts)
    peers = {}
    try:
        meets = case(net) or {host: set(hosts) - {host} for host in hosts}
        net.settle()
        until = time.monotonic() + DEADLINE_S
        peers = {host: Peer(program, host, peers=len(meets[host]), messages=MESSAGES) for host in hosts}
        for host, peer in peers.items():
            peer.wait("everything exchanged", lambda line: line["type"] == "complete", until)
        time.sleep(0.2)  # what came twice would come now
        ids = {peer.id: host for host, peer in peers.items()}
        times = []
        for host, peer in peers.items():
            ends = {ids.get(peer_id, peer_id): end for peer_id, end in peer.finish().items()}
            if set(ends) != meets[host]:
                raise Failure(f"{host} met {sorted(ends)} instead of {sorted(meets[host])}")
            for other, end in sorted(ends.items()):
                times.append(end["found_ms"])
                counts = (end["received"], end["delivered"], end["wrong"], end["failed"])
                if counts != (MESSAGES, MESSAGES, 0, 0):
                    raise Failure(f"{host} and {other}: received, delivered, wrong, failed are {counts} instead of {MESSAGES} twice")
                if end["path"] != "LAN":
                    raise Failure(f"{host} reached {other} by {end['path']}")
        exchanged = max(end["ms"] for peer in peers.values() for end in peer.of("complete"))
        print(f"{case.__name__:18} found after {min(times):6.0f} to {max(times):6.0f} ms, all {MESSAGES} messages each way "
              f"between {len(times) // 2} pairs after {exchanged:6.0f} ms", flush=True)
        if judge and max(times) > PROMISED_MS:
            raise Failure(f"found after {max(times):.0f} ms; promised are {PROMISED_MS} ms")
    finally:
        for peer in peers.values():
            if peer.process.poll() is None:
                peer.kill()
        net.close()


def main():
    words = sys.argv[1:]
    judge = "--judge-times" in words
    repeat = int(words[words.index("--repeat") + 1]) if "--repeat" in words else 1
    names = [word for word in words[1:] if word in CASES] or list(CASES)
    enter()
    failed = 0
    for _ in range(repeat):
        for name in names:
            try:
                run(CASES[name], os.path.abspath(words[0]), judge)
            except Failure as failure:
                failed += 1
                print(f"{name:18} FAILED: {failure}", flush=True)
            except Exception:  # the other cases still say what they have to say
                failed += 1
                print(f"{name:18} FAILED:\n{traceback.format_exc()}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
