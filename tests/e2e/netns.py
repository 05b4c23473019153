# SPDX-License-Identifier: Apache-2.0
"""Hosts as network namespaces, joined by bridges, without root: the script runs itself again inside new namespaces in which
it is root. Everything is gone when the script ends."""
import json
import os
import subprocess
import sys
import threading
import time

INSIDE = "KITH_E2E_INSIDE"


class Failure(Exception):
    """The test failed; the text says what was expected and what happened."""


def enter():
    """Runs this script again in its own user, network and mount namespaces. Returns inside of them."""
    if os.environ.get(INSIDE):
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
        os.makedirs("/run/netns")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    ways = [["unshare", "-Urnm"]] + ([["unshare", "-nm"]] if os.geteuid() == 0 else [])
    said = ""
    for way in ways:
        tried = subprocess.run(way + ["true"], capture_output=True, text=True)
        if tried.returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp(way[0], way + [sys.executable, "-B"] + sys.argv)
        said = tried.stderr.strip()
    sys.exit(f"FAILED: this machine does not permit network namespaces ({said}). Run as root, or allow them: "
             "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 "
             "kernel.apparmor_restrict_unprivileged_userns=0")


def ip(*words, host=None):
    command = (["nsenter", f"--net=/run/netns/{host}"] if host else []) + ["ip"] + [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """Bridges in our own namespace, hosts around them. A host's interfaces are eth0, eth1 ..."""
    made = 0

    def __init__(self, *hosts):
        Network.made += 1
        self.tag = Network.made
        self.hosts = list(hosts)
        self.links = {}  # (host, interface): our end of the cable
        self.bridges = []
        for host in hosts:
            ip("netns", "add", host)
            ip("link", "set", "lo", "up", host=host)

    def bridge(self):
        name = f"br{self.tag}-{len(self.bridges)}"
        ip("link", "add", name, "type", "bridge")
        ip("link", "set", name, "up")
        self.bridges.append(name)
        return name

    def plug(self, host, bridge, *addresses, ipv6=True):
        """Joins the host to the bridge by a new interface with these addresses ("10.0.0.1/24", "fd00::1/64")."""
        number = sum(1 for h, _ in self.links if h == host)
        inside, outside = f"eth{number}", f"v{self.tag}-{len(self.links)}"
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", f"/run/netns/{host}")
        ip("link", "set", outside, "master", bridge, "up")
        if not ipv6:
            ip("link", "set", inside, "addrgenmode", "none", host=host)
        for address in addresses:
            ip("addr", "add", address, "dev", inside, host=host)
        ip("link", "set", inside, "up", host=host)
        self.links[host, inside] = outside
        return inside

    def settle(self):
        """Waits until IPv6 has made sure that no address is there twice, as on a machine that has been up for a while."""
        until = time.monotonic() + 10
        while any(ip("-6", "addr", "show", "tentative", host=host).strip() for host in self.hosts):
            if time.monotonic() > until:
                raise Failure("an IPv6 address stays tentative")
            time.sleep(0.02)

    def cut(self, host, interface="eth0"):
        """Pulls the cable out of the switch: the host itself keeps its carrier and learns nothing."""
        ip("link", "set", self.links[host, interface], "nomaster")

    def join(self, host, bridge, interface="eth0"):
        ip("link", "set", self.links[host, interface], "master", bridge)

    def close(self):
        for outside in self.links.values():
            ip("link", "del", outside)
        for bridge in self.bridges:
            ip("link", "del", bridge)
        for host in self.hosts:
            ip("netns", "del", host)


class Peer:
    """One lan_peer process on a host; its lines are kept with the time at which they came."""

    def __init__(self, program, host, **options):
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        self.host = host
        self.lines = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(self.words(host, program) + words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @staticmethod
    def words(host, program):
        return ["nsenter", f"--net=/run/netns/{host}", program]

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                entry = json.loads(line)
                entry["at"] = time.monotonic()
                self.lines.append(entry)
                self.changed.notify_all()
        with self.changed:
            self.lines.append({"type": "eof", "at": time.monotonic()})
            self.changed.notify_all()

    def wait(self, what, match, until, start=0):
        """The first line from number `start` on for which match(line); fails at the moment `until`."""
        with self.changed:
            while True:
                for line in self.lines[start:]:
                    if match(line):
                        return line
                left = until - time.monotonic()
                if left <= 0 or (self.lines and self.lines[-1]["type"] == "eof"):
                    raise Failure(f"{self.host}: {what} did not come; it said:\n" + self.said())
                self.changed.wait(left)

    def said(self):
        return "\n".join("    " + json.dumps(line) for line in self.lines[-20:])

    @property
    def id(self):
        return self.wait("ready", lambda line: line["type"] == "ready", time.monotonic() + 10)["peer"]

    def of(self, kind):
        return [line for line in self.lines if line["type"] == kind]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def finish(self):
        """Lets it stop; its last summaries by peer."""
        self.process.stdin.close()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{self.host}: did not stop within 20 s; it said:\n" + self.said()) from None
        self.reader.join(5)
        if code != 0:
            raise Failure(f"{self.host}: ended with {code}; it said:\n" + self.said())
        return {line["peer"]: line for line in self.of("end")}
