# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix between two real processes in network namespaces. Each process writes its history; history_check
judges them: nothing lost, twice, out of order or changed, and a receipt for everything. Times that a row promises are judged with
--judge-times. --scale S does S times the repetitions that the matrix asks for (default 0.1); some pairs of hosts work beside each
other, and the rows that mostly wait as well.

Usage: matrix_test.py FOLDER_WITH_PROGRAMS [--scale S] [--strength reliable] [--judge-times] [ROW ...]"""
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machinery import Failure, Impaired, Lan, Network, Pair, Proxy, Row, enter, made  # noqa: E402

PAIRS = 4  # of hosts at the same time
DETECT_S = 16  # a dead link is found after 15 s
RELINK_S = 35  # the longest back-off, and a dial into the void
DRAIN_S = 5  # after the link is back


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
        plain = goodput(net.ips[0], net.hosts, seconds / 2)
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
        nets = [f"10.5.{net.tag * 2 + side}" for side in (0, 1)]
        for part, host in zip(nets, hosts):
            bridge = net.bridge()
            net.plug(host, bridge, f"{part}.1/24", ipv6=False)
            subprocess.run(["ip", "addr", "add", f"{part}.254/24", "dev", bridge], check=True)
    pair = None
    proxy = Proxy(hosts[0], number)
    try:
        def reach(port):
            proxy.target = (f"{nets[0]}.1", port)
            return f"/ip4/{nets[1]}.254/tcp/{proxy.port}/p2p/ID"
        proxy.cutting = False
        pair = Pair(row, number, hosts, [f"{part}.1" for part in nets], reach)
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
