# SPDX-License-Identifier: Apache-2.0
"""The kith program as scripts see it: exit codes, JSON lines, files. Everything on loopback.

usage: cli_test.py PROGRAM [unittest arguments]
"""

import base64
import json
import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import time
import unittest

from harness import DEADLINE, LOOPBACK, Kith

PROGRAM = ""


def bare(address):
    return re.sub(r"/p2p/[^/]+$", "", address)


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Case(unittest.TestCase):
    def setUp(self):
        self.kith = Kith(PROGRAM)
        self.addCleanup(self.kith.close)


class Usage(Case):
    def expect_usage(self, *arguments, says=""):
        done = self.kith.run(*arguments)
        self.assertEqual(done.returncode, 2, done)
        self.assertIn(says, done.stderr.decode())
        self.assertIn("try:", done.stderr.decode())
        code, lines = self.kith.lines(*arguments)
        self.assertEqual(code, 2)
        self.assertEqual([line["type"] for line in lines], ["error"])
        self.assertTrue(lines[0]["code"] and lines[0]["message"] and lines[0]["hint"])

    def test_wrong_command_lines(self):
        self.expect_usage("nonsense", says="nonsense")
        self.expect_usage("send", says="TARGET")
        self.expect_usage("send", "bo", says="TEXT")
        self.expect_usage("ping", "bo", "--count", "x", says="x")
        self.expect_usage("perf", "bo", "--upload", "10parsecs", says="10parsecs")
        self.expect_usage("listen", "--no-such-option", says="--no-such-option")
        self.expect_usage("help", "no-such-topic", says="no-such-topic")

    def test_wrong_values(self):
        self.expect_usage("send", "/ip4/999.1.1.1/tcp/1", "hi", says="999.1.1.1")
        self.expect_usage("listen", "--listen", "/ip4/127.0.0.1/udp/1", says="/ip4/127.0.0.1/udp/1")
        self.expect_usage("peers", "--no-lan", says="--no-lan")
        self.expect_usage("test", "--no-lan", says="--no-lan")
        self.expect_usage("test", "--rounds", "0", says="rounds")
        self.expect_usage("test", "--messages", "10000000", says="messages")
        self.expect_usage("test", "--pause", "-1", says="-1")
        self.expect_usage("ping", "/ip4/127.0.0.1/tcp/1", "--listen", "nonsense", says="nonsense")

    def test_help_and_version_succeed(self):
        for arguments in (["--help"], ["send", "--help"], ["--version"], ["help"], ["help", "json"], ["help", "targets"]):
            done = self.kith.run(*arguments)
            self.assertEqual(done.returncode, 0, arguments)
            self.assertTrue(done.stdout.strip())

    def test_exit_codes_are_documented(self):
        _, lines = self.kith.lines("help", "exit-codes")
        self.assertEqual([line["code"] for line in lines], [0, 1, 2, 3, 4, 5, 6, 7, 130])


class Identity(Case):
    def test_stays_the_same_and_private(self):
        home = self.kith.home("new/deep")
        first = self.kith.lines("id", "--home", home)
        second = self.kith.lines("id", "--home", home)
        self.assertEqual(first, second)
        self.assertEqual(first[0], 0)
        self.assertRegex(first[1][0]["peer"], "^12D3KooW")
        files = [os.path.join(home, name) for name in os.listdir(home)]
        keys = [f for f in files if f.endswith("identity.key")]
        self.assertEqual(len(keys), 1)
        for file in files:
            self.assertEqual(stat.S_IMODE(os.stat(file).st_mode), 0o600, file)
        self.assertEqual(stat.S_IMODE(os.stat(home).st_mode), 0o700)
        # Another folder is another identity.
        self.assertNotEqual(self.kith.lines("id", "--home", self.kith.home("b"))[1][0]["peer"], first[1][0]["peer"])

    def test_default_home_is_that_of_xdg(self):
        done = self.kith.run("id", env={"XDG_DATA_HOME": self.kith.home("xdg")})
        self.assertEqual(done.returncode, 0)
        self.assertTrue(os.path.exists(self.kith.home("xdg/kith/identity.key")))
        self.kith.run("id")
        self.assertTrue(os.path.exists(self.kith.home(".local/share/kith/identity.key")))

    def test_key_that_others_can_read_is_refused(self):
        home = self.kith.home("a")
        self.kith.run("id", "--home", home)
        os.chmod(os.path.join(home, "identity.key"), 0o644)
        code, lines = self.kith.lines("id", "--home", home)
        self.assertEqual((code, lines[-1]["code"]), (7, "file_insecure"))

    def test_two_listeners_of_one_identity_are_refused(self):
        running, _ = self.kith.listener("a")
        with running:
            code, lines = self.kith.lines("listen", "--no-lan", "--home", self.kith.home("a"))
            self.assertEqual((code, lines[-1]["code"]), (6, "refused"))
            self.assertIn("--home", lines[-1]["hint"])


class Messages(Case):
    def test_listen_send_ping(self):
        running, ready = self.kith.listener("bo", "--channel", "extra")
        with running:
            self.assertRegex(ready["peer"], "^12D3KooW")
            self.assertTrue(ready["addresses"])
            address = ready["addresses"][0]
            self.assertTrue(address.endswith("/p2p/" + ready["peer"]), address)
            me = self.kith.lines("id", "--home", self.kith.home("ana"))[1][0]["peer"]

            for target in (address, bare(address)):
                code, lines = self.kith.lines("send", target, "hello é 日本", "--home", self.kith.home("ana"))
                self.assertEqual(code, 0, lines)
                self.assertEqual((lines[-1]["type"], lines[-1]["peer"]), ("delivered", ready["peer"]))
                message = running.json("message")
                self.assertEqual((message["from"], message["channel"], message["text"]), (me, "chat", "hello é 日本"))
            # A word that is also a command is just a text.
            self.assertEqual(self.kith.run("send", address, "id", "--home", self.kith.home("ana")).returncode, 0)
            self.assertEqual(running.json("message")["text"], "id")

            self.assertEqual(self.kith.lines("send", address, "x", "--channel", "extra", "--home", self.kith.home("ana"))[0], 0)
            self.assertEqual(running.json("message")["channel"], "extra")

            code, lines = self.kith.lines("ping", address, "--count", "3", "--interval", "0.01")
            self.assertEqual(code, 0, lines)
            self.assertEqual([line["type"] for line in lines], ["ping"] * 3)
            for line in lines:
                self.assertGreater(line["rtt_ms"], 0)
                self.assertLess(line["rtt_ms"], 10_000)
            states = {value["state"] for value in running.seen if value["type"] == "peer"}
            self.assertIn("connected", states)
            self.assertEqual(running.signal(), 0)

    def test_lines_and_whole_input(self):
        running, ready = self.kith.listener("bo")
        with running:
            address = ready["addresses"][0]
            text = "".join(f"line {i}\n" for i in range(600)) + "no line end"
            code, lines = self.kith.lines("send", address, "-", stdin=text.encode())
            self.assertEqual((code, len(lines)), (0, 601))
            for i in range(600):
                self.assertEqual(running.json("message")["text"], f"line {i}")
            self.assertEqual(running.json("message")["text"], "no line end")

            binary = bytes(range(256)) * 100
            code, lines = self.kith.lines("send", address, "-", "--whole", stdin=binary)
            self.assertEqual((code, lines[-1]["bytes"]), (0, len(binary)))
            message = running.json("message")
            self.assertNotIn("text", message)
            self.assertEqual(base64.b64decode(message["base64"]), binary)

    def test_too_large(self):
        running, ready = self.kith.listener("bo")
        with running:
            code, lines = self.kith.lines("send", ready["addresses"][0], "-", "--whole", stdin=b"x" * (1 << 20) + b"y")
            self.assertEqual((code, lines[-1]["code"]), (2, "too_large"))

    def test_limits_of_listen(self):
        running, ready = self.kith.listener("bo", "-C", "2")
        with running:
            for text in ("one", "two"):
                self.assertEqual(self.kith.run("send", ready["addresses"][0], text).returncode, 0)
            self.assertEqual(running.process.wait(DEADLINE), 0)
        start = time.monotonic()
        code, _ = self.kith.lines("listen", "--no-lan", "--listen", LOOPBACK, "-W", "0.2")
        self.assertEqual(code, 0)
        self.assertGreaterEqual(time.monotonic() - start, 0.2)

    def test_signals_end_cleanly(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            running, _ = self.kith.listener("a")
            with running:
                self.assertEqual(running.signal(number), 0)

    def test_output_that_is_closed(self):
        running = self.raw_listener()
        try:
            address = json.loads(running.stdout.readline())["addresses"][0]
            running.stdout.close()
            # Not printed, so not confirmed.
            self.assertIn(self.kith.run("send", address, "hi", "-W", "1").returncode, (3, 5))
            self.assertEqual(running.wait(DEADLINE), 0)
        finally:
            running.kill()
            running.wait()

    def test_reader_that_stopped_reading(self):
        running = self.raw_listener()
        try:
            address = json.loads(running.stdout.readline())["addresses"][0]
            # More than a pipe holds: the listener waits for its reader, and with it the sender. Ctrl-C ends it all the same.
            done = self.kith.run("send", address, "-", "-W", "1", stdin=b"x" * 200 + b"\n" + (b"y" * 200 + b"\n") * 2000)
            self.assertEqual(done.returncode, 5, done)
            running.send_signal(signal.SIGINT)
            self.assertEqual(running.wait(DEADLINE), 0)
        finally:
            running.kill()
            running.stdout.close()
            running.wait()

    def raw_listener(self):
        command = [PROGRAM, "listen", "--json", "--listen", LOOPBACK, "--no-lan", "--home", self.kith.home("raw")]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.kith.env)

    def test_hostile_text_does_not_reach_the_terminal(self):
        command = ("listen", "--listen", LOOPBACK, "--no-lan", "--home", self.kith.home("bo"))
        with self.kith.start(*command) as running:
            peer = running.line().split()[-1]
            address = running.line().strip()
            self.assertTrue(address.endswith(peer), address)
            evil = "\x1b[2Jx\x07\u202ey\n10:00  ana  fake"
            done = self.kith.run("send", address, evil, "--name", "\x1b[31mevil", "--home", self.kith.home("ana"))
            self.assertEqual(done.returncode, 0, done)
            text = running.line()
            while "fake" not in text:
                self.assertIsNone(re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", text), text)
                text = running.line()
            self.assertTrue(text.startswith("    "), text)
            self.assertIsNone(re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", text), text)


class Failures(Case):
    def expect(self, code, arguments, *codes):
        exit_code, lines = self.kith.lines(*arguments)
        self.assertEqual(exit_code, code, lines)
        error = lines[-1]
        self.assertEqual(error["type"], "error")
        self.assertIn(error["code"], codes)
        self.assertTrue(error["message"] and error["hint"])

    def test_nothing_listens(self):
        address = f"/ip4/127.0.0.1/tcp/{closed_port()}"
        for command in (["send", address, "hi"], ["ping", address], ["perf", address]):
            self.expect(3, [*command, "-W", "5"], "connection_refused", "dial_failed")

    def test_peer_that_is_not_there(self):
        other = self.kith.lines("id", "--home", self.kith.home("other"))[1][0]["peer"]
        self.expect(3, ["send", other, "hi", "--no-lan"], "unknown_peer")
        self.expect(3, ["send", "nobody-has-this-name", "hi", "--no-lan"], "unknown_peer")
        self.expect(3, ["send", other, "hi", "-W", "0.3"], "unknown_peer")

    def test_another_peer_than_named(self):
        running, ready = self.kith.listener("bo")
        with running:
            other = self.kith.lines("id", "--home", self.kith.home("other"))[1][0]["peer"]
            address = bare(ready["addresses"][0]) + "/p2p/" + other
            self.expect(4, ["send", address, "hi", "-W", "5"], "wrong_peer")
            # Nothing of it was delivered: the next message is the first.
            self.assertEqual(self.kith.run("send", ready["addresses"][0], "right").returncode, 0)
            self.assertEqual(running.json("message")["text"], "right")

    def test_not_a_libp2p_peer(self):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            address = f"/ip4/127.0.0.1/tcp/{server.getsockname()[1]}"
            with self.kith.start("ping", address, "-W", "10", "--json") as running:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    self.assertIn(running.json("error")["code"], ("handshake_failed", "protocol_error", "dial_failed"))
                self.assertIn(running.process.wait(DEADLINE), (3, 5, 7))

    def test_silent_server_times_out(self):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            self.expect(5, ["ping", f"/ip4/127.0.0.1/tcp/{server.getsockname()[1]}", "-W", "0.5"], "timeout")

    def test_port_is_taken(self):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            self.expect(5, ["listen", "--no-lan", "--listen", f"/ip4/127.0.0.1/tcp/{server.getsockname()[1]}"], "address_in_use")

    def test_perf_that_is_not_served(self):
        running, ready = self.kith.listener("bo")
        with running:
            self.expect(6, ["perf", ready["addresses"][0], "--upload", "1KiB", "--download", "1KiB"], "not_supported")

    def test_interrupted_wait(self):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            with self.kith.start("ping", f"/ip4/127.0.0.1/tcp/{server.getsockname()[1]}", "--json") as running:
                connection, _ = server.accept()
                with connection:
                    self.assertEqual(running.signal(), 130)


class Perf(Case):
    def test_bytes_are_counted(self):
        running, ready = self.kith.listener("bo", "--serve-perf")
        with running:
            code, lines = self.kith.lines("perf", ready["addresses"][0], "--upload", "2MiB", "--download", "1MiB")
            self.assertEqual(code, 0, lines)
            self.assertEqual((lines[-1]["uploaded"], lines[-1]["downloaded"]), (2 << 20, 1 << 20))
            self.assertGreater(lines[-1]["upload_mb_s"], 0)
            self.assertGreater(lines[-1]["download_mb_s"], 0)


class Chat(Case):
    def chat(self, name):
        return self.kith.start("chat", "--json", "--no-lan", "--listen", LOOPBACK, "--name", name, "--home", self.kith.home(name))

    def test_two_by_address(self):
        with self.chat("ana") as ana, self.chat("bo") as bo:
            ana_id = ana.json("ready")["peer"]
            ready = bo.json("ready")
            ana.write("nobody hears this\n")
            self.assertEqual(ana.json("error")["code"], "not_connected")
            ana.write("/connect " + ready["addresses"][0] + "\n")
            ana.json("peer", state="identified", peer=ready["peer"])
            self.assertEqual(bo.json("peer", state="identified", peer=ana_id)["name"], "ana")
            ana.write("hello bo\n")
            self.assertEqual(bo.json("message")["text"], "hello bo")
            self.assertEqual(ana.json("delivered")["peer"], ready["peer"])
            bo.write("/list\n/msg 1 one\n/msg ana two\n/broadcast three\n")
            for text in ("one", "two", "three"):
                message = ana.json("message")
                self.assertEqual((message["text"], message["from"]), (text, ready["peer"]))
            bo.write("/nonsense\n")
            self.assertEqual(bo.json("error")["code"], "invalid_argument")
            # The end of the input ends the chat, after the last line was delivered.
            ana.write("bye")
            ana.process.stdin.close()
            self.assertEqual(bo.json("message")["text"], "bye")
            self.assertEqual(ana.process.wait(DEADLINE), 0)
            bo.json("peer", state="disconnected", peer=ana_id)
            bo.write("/quit\n")
            self.assertEqual(bo.process.wait(DEADLINE), 0)

    def test_on_a_terminal(self):
        with self.chat("bo") as bo:
            address = bo.json("ready")["addresses"][0]
            parent, child = pty.openpty()
            command = [PROGRAM, "--no-lan", "--listen", LOOPBACK, "--name", "ana", "--home", self.kith.home("ana")]
            env = {**self.kith.env, "TERM": "xterm", "NO_COLOR": "1"}
            ana = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=env, start_new_session=True)
            os.close(child)
            screen = b""

            def until(text):
                nonlocal screen
                end = time.monotonic() + DEADLINE
                while text.encode() not in screen:
                    ready, _, _ = select.select([parent], [], [], max(end - time.monotonic(), 0))
                    self.assertTrue(ready, f"no '{text}' on the screen: {screen!r}")
                    screen += os.read(parent, 4096)
                screen = screen.partition(text.encode())[2]

            try:
                until("You are  ana")
                os.write(parent, b"/conn\t" + address.encode() + b"\r")
                until("+ bo")
                until("bo> ")
                os.write(parent, "helloo\x7f b\u00f6".encode())
                until("hello b\u00f6")
                # What arrives meanwhile leaves the typed line whole.
                bo.json("peer", state="identified")
                bo.write("in between \x1b[2J\n")
                until("in between \ufffd[2J")
                until("hello b\u00f6")
                os.write(parent, b"\r")
                self.assertEqual(bo.json("message")["text"], "hello b\u00f6")
                until("delivered")
                os.write(parent, b"\x04")
                self.assertEqual(ana.wait(DEADLINE), 0)
            finally:
                if ana.poll() is None:
                    ana.kill()
                    ana.wait()
                os.close(parent)

    def test_guest_beside_a_running_one(self):
        with self.chat("ana") as first, self.chat("ana") as second:
            a, b = first.json("ready"), second.json("ready")
            self.assertNotEqual(a["peer"], b["peer"])


class Lan(Case):
    """By multicast on whatever network there is; other peers may be on it, so names are this test's own."""

    def setUp(self):
        super().setUp()
        self.label = f"t{os.getpid()}x{time.monotonic_ns() % 1_000_000}"

    def listener(self, name):
        running = self.kith.start("listen", "--json", "--home", self.kith.home(name), "--name", f"{name}@{self.label}")
        self.addCleanup(running.__exit__)
        return running, running.json("ready")["peer"]

    def test_send_by_name_and_parts_of_the_id(self):
        running, peer = self.listener("bo")
        for target in (f"bo@{self.label}", f"BO@{self.label.upper()}", peer, peer[-12:], f"{peer[:8]}…{peer[-8:]}"):
            code, lines = self.kith.lines("send", target, f"to {target}", "-W", "20")
            self.assertEqual((code, lines[-1]["type"], lines[-1]["peer"], lines[-1]["path"]), (0, "delivered", peer, "LAN"), target)
            self.assertEqual(running.json("message")["text"], f"to {target}")

    def test_ambiguous_name_is_not_guessed(self):
        _, first = self.listener("bo")
        _, second = self.listener("Bo")
        code, lines = self.kith.lines("send", f"bO@{self.label}", "hi", "-W", "20")
        self.assertEqual((code, lines[-1]["code"]), (2, "invalid_argument"))
        self.assertIn(first, lines[-1]["message"])
        self.assertIn(second, lines[-1]["message"])

    def test_own_id_is_refused(self):
        home = self.kith.home("me")
        me = self.kith.lines("id", "--home", home)[1][0]["peer"]
        self.assertEqual(self.kith.lines("send", me, "hi", "--home", home)[0], 2)


class LanPeers(Lan):
    test_send_by_name_and_parts_of_the_id = test_ambiguous_name_is_not_guessed = test_own_id_is_refused = None

    def test_peers_lists_each_once(self):
        _, first = self.listener("ana")
        _, second = self.listener("bo")
        code, lines = self.kith.lines("peers", "--wait", "5")
        self.assertEqual(code, 0)
        ours = {line["peer"]: line for line in lines if line.get("name", "").endswith(self.label)}
        self.assertEqual(set(ours), {first, second})
        self.assertEqual(len([line for line in lines if line["peer"] in ours]), 2)
        for line in ours.values():
            self.assertEqual((line["type"], line["on_lan"]), ("peer", True))
            self.assertTrue(line["addresses"])
            self.assertIn("/kith/msg/1.0.0", line["protocols"])

    def test_watch_prints_changes(self):
        with self.kith.start("peers", "--watch", "--json", "--home", self.kith.home("watcher")) as watcher:
            _, peer = self.listener("bo")
            watcher.json("peer", state="identified", peer=peer)
            self.assertEqual(watcher.signal(), 0)


    def test_test_needs_others_that_run_it(self):
        self.listener("bo")  # talks, and takes no part
        code, lines = self.kith.lines("test", "--home", self.kith.home("ana"), "--peers", "60", "-W", "1")
        self.assertEqual((code, lines[-1]["type"], lines[-1]["code"]), (3, "error", "unknown_peer"))


class Doctor(Case):
    def test_verdicts(self):
        code, lines = self.kith.lines("doctor", "--no-lan")
        checks = {line["name"]: line for line in lines if line["type"] == "check"}
        for name in ("identity", "ports", "interfaces", "clock"):
            self.assertIn(checks[name]["verdict"], ("ok", "warn", "fail"))
        self.assertEqual(checks["ports"]["verdict"], "ok")
        self.assertEqual(lines[-1], {"v": 1, "type": "result", "ok": code == 0})

    def test_finds_the_unsafe_key(self):
        home = self.kith.home("a")
        self.kith.run("id", "--home", home)
        os.chmod(os.path.join(home, "identity.key"), 0o640)
        code, lines = self.kith.lines("doctor", "--no-lan", "--home", home)
        check = next(line for line in lines if line.get("name") == "identity")
        self.assertEqual((code, check["verdict"]), (7, "fail"))
        self.assertTrue(check["advice"])


class Demo(Case):
    def test_two_processes_meet_by_mdns(self):
        code, lines = self.kith.lines("demo")
        self.assertEqual(code, 0, lines)
        self.assertEqual([line["step"] for line in lines if line["type"] == "demo"], ["started"] * 2 + ["met"] + ["message"] * 4)
        senders = {line["from"] for line in lines if line.get("step") == "message"}
        self.assertEqual(len(senders), 2)
        self.assertEqual(lines[-1], {"v": 1, "type": "result", "ok": True})


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
