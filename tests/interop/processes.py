# SPDX-License-Identifier: Apache-2.0
"""Child processes that print JSON lines: started, watched with deadlines, always ended."""

import json
import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time

_running = []


class CaseFailed(Exception):
    """A case did not do what it must; `programs` are those whose output helps to see why."""

    def __init__(self, text, *programs):
        super().__init__(text)
        self.programs = list(programs)


def fail(text, *programs):
    raise CaseFailed(text, *programs)


def kill_all():
    for program in list(_running):
        program.kill()


class Program:
    """A child with its own process group. Its standard input stays open until release() or stop()."""

    def __init__(self, name, arguments, raw=False):
        self.name, self.arguments = name, arguments
        self.lines, self.raw_lines = [], []
        self._raw = raw
        self._changed = threading.Condition()
        self._ended = False
        self._errors = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                                             start_new_session=True)
        except OSError as error:
            fail(f"{name} did not start: {error}")
        _running.append(self)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for data in self._process.stdout:
            text = data.decode("utf-8", "replace").rstrip("\n")
            parsed = None
            if not self._raw:
                try:
                    parsed = json.loads(text)
                except ValueError:
                    pass
            with self._changed:
                self.raw_lines.append(text)
                if isinstance(parsed, dict):
                    self.lines.append(parsed)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def running(self):
        return self._process.poll() is None

    def wait(self, wanted, seconds, what, *others):
        """The first line, past or future, for which wanted(line); fails at the deadline or when the program has ended."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    if line.get("v") == 1 and wanted(line):
                        return line
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    break
                self._changed.wait(left)
        fail(f"{self.name}: {'ended without' if self._ended else f'{seconds} s without'} {what}", self, *others)

    def wait_exit(self, seconds, check=True):
        """Waits for the program to end by itself; with `check` its exit code must be 0."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            fail(f"{self.name}: still running after {seconds:.0f} s", self)
        self._finish()
        if check and code != 0:
            fail(f"{self.name}: exit code {code}", self)

    def release(self, seconds):
        """Ends the standard input, which tells the program that it may go, and waits until it has gone."""
        self._close_input()
        self.wait_exit(seconds)

    def stop(self):
        """Ends a listener: politely first."""
        self._close_input()
        if self.running():
            self._signal(signal.SIGTERM)
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self):
        self._close_input()
        # The whole group, even when its leader has gone: nothing may stay behind.
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._finish()

    def transcript(self):
        """What the program was called with and what it said, for a failed case."""
        with self._changed:
            said = self.raw_lines[-6:]
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 6000))
        errors = self._errors.read().decode("utf-8", "replace").splitlines()[-12:]
        code = self._process.poll()
        state = "running" if code is None else f"exit code {code}"
        head = f"    --- {self.name} ({state}): {shlex.join(self.arguments)}"
        return "\n".join([head, *(f"    out| {text[:400]}" for text in said), *(f"    err| {text[:600]}" for text in errors)])

    def _signal(self, number):
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass

    def _close_input(self):
        try:
            self._process.stdin.close()
        except OSError:
            pass

    def _finish(self):
        self._reader.join(2)
        if self in _running:
            _running.remove(self)
