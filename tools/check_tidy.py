#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy on the .cpp files of src/ and apps/, as many at a time as there are cores.

A file that was clean is not looked at again while its compile command, .clang-tidy and the content of all it includes stay
the same. What it includes is asked from ninja's log of the build, so that nothing has to be preprocessed. --deep runs the
static analyzer instead."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import time

from house import House

TIDY = "clang-tidy-19"
NOISE = r"^\d+ warnings?( and \d+ errors?)? (generated|treated)|^Error while processing|^Found compiler error"

house = House("tidy", __doc__)
house.parser.add_argument("--build", default="build/dev")
house.parser.add_argument("--deep", action="store_true", help="the static analyzer instead of the short list")
options = house.parse()
build = house.root / options.build
cache = build / ("tidy-cache-deep" if options.deep else "tidy-cache")
cache.mkdir(parents=True, exist_ok=True)
digests = {}


def digest(path):
    """Content of our own files; size and time of the system's."""
    if path not in digests:
        try:
            if path.is_relative_to(house.root):
                digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                stat = path.stat()
                digests[path] = f"{stat.st_size} {stat.st_mtime_ns}"
        except OSError:
            digests[path] = "gone"
    return digests[path]


def headers_by_object():
    """object -> files it was compiled from, from ninja's dependency log; an object whose entry is stale is left out."""
    found, current = {}, None
    out = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True).stdout
    for line in out.splitlines():
        if line and not line.startswith(" "):
            match = re.match(r"(\S+): #deps \d+, .*\((VALID|STALE)\)", line)
            current = found.setdefault(match[1], []) if match and match[2] == "VALID" else None
        elif current is not None and line.strip():
            path = line.strip()
            current.append(pathlib.Path(os.path.normpath(path if path.startswith("/") else build / path)))
    return found


def object_of(entry):
    match = re.search(r" -o (\S+)", entry["command"])
    return match[1] if match else ""


def key_of(entry, deps):
    if not deps:
        return None
    parts = [version, config, entry["command"]] + [f"{path} {digest(path)}" for path in sorted(deps)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def look(entry):
    name = str(pathlib.Path(entry["file"]).relative_to(house.root))
    key = key_of(entry, deps_of.get(object_of(entry)))
    marker = cache / hashlib.sha256(name.encode()).hexdigest()
    if key and marker.is_file() and marker.read_text() == key:
        return name, None, "", 0.0
    begin = time.monotonic()
    command = [TIDY, "--quiet", "-p", str(build), "--extra-arg=-Wno-unknown-warning-option",
               "--extra-arg=-Wno-deprecated-declarations", "--extra-arg=-Wno-sign-conversion",
               "--extra-arg=-Wno-shadow"]
    if options.deep:
        command += ["--checks=-*,clang-analyzer-*"]
    done = subprocess.run(command + [entry["file"]], capture_output=True, text=True)
    if done.returncode == 0 and key:
        marker.write_text(key)
    return name, done.returncode, done.stdout + (done.stderr if done.returncode else ""), time.monotonic() - begin


database = build / "compile_commands.json"
if not database.is_file():
    house.say(f"{options.build}:1", "no compile_commands.json; build first (make build)")
    house.finish("0 files")
version = subprocess.run([TIDY, "--version"], check=True, capture_output=True, text=True).stdout
config = (house.root / ".clang-tidy").read_text()
deps_of = headers_by_object()
tracked = set(house.files(".cpp"))
entries = {}
for entry in json.loads(database.read_text()):
    path = pathlib.Path(entry["file"])
    if path.is_relative_to(house.root):
        name = str(path.relative_to(house.root))
        if name in tracked and name.startswith(("src/", "apps/")):
            entries.setdefault(name, entry)

fresh, slowest, told = 0, (0.0, ""), set()
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for name, code, output, seconds in pool.map(look, entries.values()):
        if code is None:
            continue
        fresh += 1
        slowest = max(slowest, (seconds, name))
        if code != 0:
            # What stands in a header is found through every file that includes it; say it once.
            for fault in re.split(r"^(?=\S+:\d+:\d+: (?:error|warning): )", output.replace(f"{house.root}/", ""), flags=re.MULTILINE):
                fault = "\n".join(line for line in fault.splitlines() if line.strip() and not re.search(NOISE, line))
                if fault and fault not in told:
                    told.add(fault)
                    house.say(*fault.split(": ", 1) if re.match(r"\S+:\d+", fault) else (f"{name}:1", fault))
if house.faults:
    print("tidy: change the code, or, where the check is wrong, write NOLINTNEXTLINE(check): reason")
house.finish(f"{len(entries)} files, {fresh} looked at anew, slowest {slowest[0]:.0f} s {slowest[1]}")
