# SPDX-License-Identifier: Apache-2.0
"""Runs the kith program for the tests: with a home of its own, a deadline, and its JSON lines parsed."""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading

DEADLINE = 30  # seconds for any single step
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


class Running:
    """A kith that goes on until it is ended. Usable in a with statement."""

    def __init__(self, command, env):
        self.command = command
        # Standard error goes to a file: nobody reads it meanwhile, and a full pipe would stop the program.
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=env
        )
        self.seen = []
        # Read at once, as a script would: a full pipe stops the program, and then its peers.
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(DEADLINE)
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            stream.close()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.decode().removesuffix("\n"))
        self.lines.put(None)

    def line(self):
        """The next line of standard output, or None at its end."""
        try:
            return self.lines.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError(f"{self.command}: no line in {DEADLINE} s; seen: {self.seen}; said: {self.said()}") from None

    def json(self, kind, **members):
        """The next JSON line of that type with those members."""
        while True:
            line = self.line()
            if line is None:
                raise AssertionError(f"{self.command} ended before {kind} {members}; seen: {self.seen}; said: {self.said()}")
            value = json.loads(line)
            assert value["v"] == 1 and value["type"], line
            self.seen.append(value)
            if value["type"] == kind and all(value.get(k) == v for k, v in members.items()):
                return value

    def write(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode()

    def signal(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


class Kith:
    def __init__(self, program):
        self.program = program
        self.folder = tempfile.TemporaryDirectory(prefix="kith-cli-")
        self.env = {k: v for k, v in os.environ.items() if k not in ("XDG_DATA_HOME", "NO_COLOR")}
        self.env["HOME"] = self.folder.name

    def close(self):
        self.folder.cleanup()

    def home(self, name):
        return os.path.join(self.folder.name, name)

    def run(self, *arguments, stdin=b"", env=None):
        return subprocess.run(
            [self.program, *arguments],
            input=stdin,
            capture_output=True,
            timeout=DEADLINE,
            env={**self.env, **(env or {})},
        )

    def lines(self, *arguments, stdin=b""):
        """The exit code and the JSON lines of a command that ends by itself."""
        done = self.run(*arguments, "--json", stdin=stdin)
        values = [json.loads(line) for line in done.stdout.decode().splitlines()]
        for value in values:
            assert value["v"] == 1 and value["type"], value
        return done.returncode, values

    def start(self, *arguments):
        return Running([self.program, *arguments], self.env)

    def listener(self, name="listener", *arguments):
        """A listener on loopback, and its ready line."""
        running = self.start("listen", "--json", "--listen", LOOPBACK, "--no-lan", "--home", self.home(name), *arguments)
        return running, running.json("ready")
