# SPDX-License-Identifier: Apache-2.0
"""Runs every case of the interop matrix and prints one line per case, then `N passed, N failed`.

The programs it runs and their JSON lines are described in README.md. Called by run.sh.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import CaseFailed, Program, fail, kill_all

HERE = Path(__file__).resolve().parent
MIB = 1024 * 1024
STEP = 30  # seconds any single step may take
TOTAL = 240  # seconds for all cases together
COMMON = ["/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0"]
TESTED = [*COMMON, "/perf/1.0.0", "/test/echo/1.0.0", "/test/upper-after-eof/1.0.0"]
# go-libp2p's mDNS client wants SRV and A records beside the TXT record; js-libp2p's responder sends none.
BLIND = [("go", "js")]
LOOPBACK = "/ip4/127.0.0.1/tcp/0"
EVERYWHERE = "/ip4/0.0.0.0/tcp/0"


class Peer:
    """An implementation: how its programs are called. One program answers all cases unless a subclass says otherwise."""

    def __init__(self, name, command, agent):
        self.name, self.command, self.agent = name, command, agent

    def listeners(self):
        """Kinds of listener it has. The kind 'test' answers every case and reports what it learns by identify."""
        return ["test"]

    def listen(self, kind):
        return [*self.command, "serve"]

    def protocols(self, kind):
        return TESTED

    def dial(self, action, address, *options):
        return [*self.command, action, address, *options, "--json"]

    def announce(self):
        return [*self.command, "serve", "--mdns", "--listen", EVERYWHERE]

    def discover(self):
        """Arguments of a program that prints a line per peer found by mDNS, and how those lines are marked."""
        return self.announce(), "discovered"


class Kith(Peer):
    def __init__(self, build, homes):
        super().__init__("kith", [str(build / "tests/interop/interop-peer")], "kith/")
        self.cli = str(build / "apps/kith/kith")
        self.homes = homes

    def home(self):
        return ["--home", tempfile.mkdtemp(dir=self.homes)]

    def listeners(self):
        return ["program", "test"]

    def listen(self, kind):
        if kind == "program":
            return [self.cli, "listen", "--json", "--listen", LOOPBACK, "--no-lan", *self.home()]
        return super().listen(kind)

    def protocols(self, kind):
        return [*COMMON, "/kith/msg/1.0.0"] if kind == "program" else TESTED

    def dial(self, action, address, *options):
        if action in ("ping", "perf"):
            interval = ["--interval", "0.01"] if action == "ping" else []
            return [self.cli, action, address, *options, *interval, "--json", *self.home()]
        return super().dial(action, address, *options)

    def announce(self):
        return [self.cli, "listen", "--json", "--listen", EVERYWHERE, *self.home()]

    def discover(self):
        return [self.cli, "peers", "--wait", "5", "--json", *self.home()], None


class Table:
    def __init__(self):
        self.passed = self.failed = 0
        self.deadline = time.monotonic() + TOTAL
        print(f"{'direction':<16} {'case':<34} {'':<5} {'ms':>7}", flush=True)

    def row(self, direction, case, ok, ms, note=""):
        self.passed, self.failed = self.passed + ok, self.failed + (not ok)
        print(f"{direction:<16} {case:<34} {'ok' if ok else 'FAIL':<5} {ms:>7.0f}  {note}".rstrip(), flush=True)

    def run(self, direction, case, check):
        """Runs check(); a CaseFailed becomes a FAIL line followed by what the programs said."""
        start, programs = time.monotonic(), []
        try:
            if start > self.deadline:
                fail(f"no time left: all cases together may take {TOTAL} s")
            note, ok = check() or "", True
        except CaseFailed as error:
            note, ok = str(error), False
            programs = dict.fromkeys(error.programs)
        self.row(direction, case, ok, (time.monotonic() - start) * 1000, note)
        if not ok:
            for program in programs:
                print(program.transcript(), flush=True)
                program.kill()  # the next case starts afresh


def bare(address):
    """The address without the peer id at its end."""
    return re.sub(r"/p2p/[^/]+$", "", address)


def missing(wanted, present):
    return [item for item in wanted if item not in present]


def check_learned(learned, protocols, addresses, agent):
    """What one side learned of the other by identify must be what the other side is."""
    lacking = missing(protocols, learned.get("protocols") or [])
    if lacking:
        fail(f"protocols not learned: {' '.join(lacking)}")
    wanted = [bare(a) for a in addresses]
    for field in ("addresses", "signed_addresses"):
        if field == "signed_addresses" and learned.get(field) is None:
            continue
        lacking = missing(wanted, [bare(a) for a in learned.get(field) or []])
        if lacking:
            fail(f"{field} not learned: {' '.join(lacking)}")
    if not (learned.get("agent") or "").startswith(agent):
        fail(f"agent is {learned.get('agent')!r}, expected {agent}…")
    observed = bare(learned.get("observed") or "")
    if not re.fullmatch(r"/ip4/127\.0\.0\.1/tcp/[1-9]\d*", observed):
        fail(f"observed address is {observed!r}")
    if learned.get("local") and observed != learned["local"]:
        fail(f"observed address is {observed}, the connection's own end is {learned['local']}")


class Pair:
    """All cases with one implementation dialing and another listening."""

    def __init__(self, table, dialer, listener):
        self.table, self.dialer, self.listener = table, dialer, listener
        self.direction = f"{dialer.name} -> {listener.name}"
        self.servers = {}

    def server(self, kind):
        """The running listener of this kind and its ready line; started when needed."""
        server = self.servers.get(kind)
        if server is None or not server.running():
            server = self.servers[kind] = Program(f"{self.listener.name} listener ({kind})", self.listener.listen(kind))
        ready = server.wait(lambda line: line.get("type") == "ready", STEP, "ready line")
        if not ready.get("addresses"):
            fail("the ready line has no address", server)
        return server, ready

    def dial(self, action, ready, *options):
        return Program(f"{self.dialer.name} {action}", self.dialer.dial(action, ready["addresses"][0], *options))

    def case(self, name, kind, check):
        def guarded():
            server, ready = self.server(kind)
            try:
                return check(server, ready)
            except CaseFailed as error:
                error.programs.append(server)
                raise

        self.table.run(self.direction, name, guarded)

    def run(self):
        for kind in self.listener.listeners():
            suffix = "" if kind == "test" else f" ({self.listener.name} listen)"
            self.case(f"identify, dialer's view{suffix}", kind, lambda s, r, k=kind: self.identify(s, r, k))
            self.case(f"ping 10{suffix}", kind, self.ping)
        self.case("identify, listener's view", "test", self.identified)
        self.case("identify push", "test", self.push)
        for label, count, streams in (("1 B", 1, 1), ("1 KiB", 1024, 1), ("16 MiB", 16 * MIB, 1), ("100 x 64 KiB", 65536, 100)):
            self.case(f"echo {label}", "test", lambda s, r, c=count, n=streams: self.echo(r, c, n))
        self.case("half-close", "test", lambda s, r: self.half_close(r))
        self.case("perf 64 MiB up, 64 MiB down", "test", lambda s, r: self.perf(r))
        for server in self.servers.values():
            server.stop()

    def one(self, program, kind, **expected):
        """The single line of an action that ends by itself with exit code 0."""
        line = program.wait(lambda item: item.get("type") == kind, STEP, f"{kind} line")
        wrong = {key: line.get(key) for key, value in expected.items() if line.get(key) != value}
        if wrong:
            fail(f"{kind} line has {wrong}", program)
        program.wait_exit(STEP)
        return line

    def identify(self, _server, ready, kind):
        program = self.dial("identify", ready)
        learned = program.wait(lambda line: line.get("type") == "identify", STEP, "identify line")
        try:
            if learned.get("peer") != ready["peer"]:
                fail(f"peer is {learned.get('peer')}, expected {ready['peer']}")
            check_learned(learned, self.listener.protocols(kind), ready["addresses"], self.listener.agent)
        except CaseFailed as error:
            error.programs.append(program)
            raise
        program.release(STEP)

    def identified(self, server, ready):
        program = self.dial("identify", ready)
        own = program.wait(lambda line: line.get("type") == "identify", STEP, "identify line").get("self")
        if own is None:
            fail("the identify line does not say 'self'", program)
        learned = server.wait(lambda line: line.get("type") == "identify" and line.get("peer") == own["peer"], STEP, "identify event")
        try:
            check_learned(learned, [*TESTED, *own["protocols"]], own["addresses"], self.dialer.agent)
        except CaseFailed as error:
            error.programs.append(program)
            raise
        program.release(STEP)

    def push(self, server, ready):
        program = self.dial("push", ready)
        program.wait(lambda line: line.get("type") == "push", STEP, "push line")
        server.wait(lambda line: line.get("type") == "identify" and "/test/pushed/1.0.0" in line.get("protocols", []), STEP,
                    "identify event with the pushed protocol", program)
        program.release(STEP)

    def ping(self, _server, ready):
        program = self.dial("ping", ready, "--count", "10")
        program.wait_exit(STEP)
        times = [line["rtt_ms"] for line in program.lines if line.get("type") == "ping"]
        if len(times) != 10:
            fail(f"{len(times)} of 10 answers", program)
        return f"median {sorted(times)[5]:.2f} ms"

    def echo(self, ready, count, streams):
        program = self.dial("echo", ready, "--bytes", str(count), "--streams", str(streams))
        self.one(program, "echo", bytes=count, streams=streams, ok=True)

    def half_close(self, ready):
        self.one(self.dial("half-close", ready), "half-close", ok=True)

    def perf(self, ready):
        program = self.dial("perf", ready, "--upload", str(64 * MIB), "--download", str(64 * MIB))
        line = self.one(program, "perf")
        up, down = line.get("upload_mb_s", 0), line.get("download_mb_s", 0)
        if not (up > 0 and down > 0):
            fail(f"no rate: {line}", program)
        return f"up {up:.0f} MB/s, down {down:.0f} MB/s"


def discovers(finder, found):
    """`finder` must learn of `found` by mDNS, and be able to ping an address it learned."""
    announced = Program(f"{found.name} announcing", found.announce())
    ready = announced.wait(lambda line: line.get("type") == "ready", STEP, "ready line")
    arguments, kind = finder.discover()
    program = Program(f"{finder.name} looking", arguments)
    start = time.monotonic()
    line = program.wait(lambda item: item.get("peer") == ready["peer"] and (kind is None or item.get("type") == kind), STEP,
                        "line with the peer", announced)
    took = time.monotonic() - start
    addresses = line.get("addresses") or [line.get("address") or fail("the line has no address", program)]
    known = [bare(a) for a in ready["addresses"]]
    reachable = [bare(a) for a in addresses if bare(a) in known]
    if not reachable:
        fail(f"none of {addresses} is an address of the peer ({known})", program, announced)
    program.stop()
    target = f"{next((a for a in reachable if '/ip4/127.' not in a), reachable[0])}/p2p/{ready['peer']}"
    ping = Program(f"{finder.name} ping", finder.dial("ping", target, "--count", "1"))
    try:
        ping.wait_exit(STEP)
    except CaseFailed as error:
        error.programs.append(announced)
        raise
    announced.stop()
    return f"after {took:.1f} s, then ping {target.split('/p2p/')[0]}"


def mdns_cases(table, pairs):
    for one, other in pairs:
        for finder, found in dict.fromkeys([(one, other), (other, one)]):
            if (finder.name, found.name) in BLIND:
                continue
            table.run(f"{finder.name} -> {found.name}", "mDNS: finds, then pings", lambda f=finder, o=found: discovers(f, o))
            kill_all()


def enter_namespace():
    """A network of its own: loopback and one Ethernet interface with multicast, whatever the machine's network is."""
    commands = ["ip link set lo up", "ip link add eth0 type veth peer name eth0-far", "ip addr add 10.77.0.1/24 dev eth0",
                "ip link set eth0 up multicast on", "ip link set eth0-far up", "ip route add 224.0.0.0/4 dev eth0"]
    for command in commands:
        subprocess.run(command.split(), check=True)


def run_mdns(table, arguments):
    """Runs the mDNS cases in a network namespace (user namespace too, so no root is needed) and copies their lines."""
    prefixes = [["unshare", "-Urnm"], ["unshare", "-nm"]]
    usable = shutil.which("ip") and next(
        (p for p in prefixes if shutil.which("unshare")
         and subprocess.run([*p, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far"], capture_output=True, timeout=STEP,
                            check=False).returncode == 0), None)
    if not usable:
        print("interop: no network namespace here; mDNS runs on the machine's own network", flush=True)
    command = [*(usable or []), sys.executable, "-B", __file__, *arguments, "--mdns-rows", "namespace" if usable else "host"]
    child = Program("mDNS cases", command, raw=True)
    counted = False
    try:
        child.wait_exit(max(table.deadline - time.monotonic(), STEP), check=False)
    except CaseFailed as error:
        print(f"interop: {error}", flush=True)
    for line in child.raw_lines:
        match = re.fullmatch(r"(\d+) passed, (\d+) failed", line)
        if match:
            table.passed, table.failed, counted = table.passed + int(match[1]), table.failed + int(match[2]), True
        elif not line.startswith("direction"):
            print(line, flush=True)
    if not counted:
        table.row("", "mDNS", False, 0, "the mDNS cases did not finish")
        print(child.transcript(), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", default="js")
    parser.add_argument("--work", type=lambda p: Path(p).resolve(), required=True)
    parser.add_argument("--build", type=lambda p: Path(p).resolve(), required=True)
    parser.add_argument("--peers-only", action="store_true")
    parser.add_argument("--mdns-rows", choices=["namespace", "host"])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    homes = tempfile.mkdtemp(prefix="kith-interop-")
    # Nothing here may touch the user's own identity.
    os.environ.update(HOME=homes, XDG_CONFIG_HOME=f"{homes}/config", XDG_DATA_HOME=f"{homes}/data", XDG_STATE_HOME=f"{homes}/state")
    js_command = ["node", "--import", f"{options.work}/js/polyfill.mjs", f"{options.work}/js/peer.mjs"]
    known = {"js": Peer("js", js_command, "js-libp2p/"), "go": Peer("go", [f"{options.work}/go-peer"], "kith-interop-go")}
    others = [known[name] for name in options.peers.split(",")]
    if options.peers_only:
        pairs = [(a, b) for a in others for b in others if a.name <= b.name]
    else:
        kith = Kith(options.build, homes)
        pairs = [(kith, other) for other in others]

    table = Table()
    try:
        if options.mdns_rows:
            if options.mdns_rows == "namespace":
                enter_namespace()
            mdns_cases(table, pairs)
        else:
            for one, other in pairs:
                Pair(table, one, other).run()
                if one is not other:
                    Pair(table, other, one).run()
            run_mdns(table, sys.argv[1:])
    finally:
        kill_all()
        shutil.rmtree(homes, ignore_errors=True)
    print(f"{table.passed} passed, {table.failed} failed", flush=True)
    sys.exit(1 if table.failed or not table.passed else 0)


if __name__ == "__main__":
    main()
