#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rule 11: every public header compiles alone with only -Iinclude, and includes the standard library and public headers only."""

import concurrent.futures
import os
import re
import subprocess

from house import House

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
MAY_INCLUDE_ASIO = "include/kith/asio.hpp"
C_HEADERS = {"stddef.h", "stdint.h", "stdbool.h"}

house = House("headers", __doc__)
house.parser.add_argument("--cxx", default=os.environ.get("CXX", "g++"))
house.parser.add_argument("--cc", default=os.environ.get("CC", "gcc"))
options = house.parse()
headers = [name for name in house.files(".hpp", ".h") if name.startswith("include/")]


def compiles(name):
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{house.root / 'include'}"]
    line = f'#include "{name.removeprefix("include/")}"\n'
    languages = [("c++", options.cxx, "-std=c++20")] + ([("c", options.cc, "-std=c99")] if name.endswith(".h") else [])
    for language, compiler, standard in languages:
        done = subprocess.run([compiler, standard, *warnings, "-x", language, "-"], input=line, capture_output=True, text=True)
        if done.returncode != 0:
            return done.stderr
    return ""


for name in headers:
    lines = house.lines(name)
    if name.endswith(".hpp") and not any(line.strip() == "#pragma once" for line in lines):
        house.say(f"{name}:1", "no #pragma once; add it after the head comment")
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        path = match.group(1)
        ours = path.startswith(("kith/", "peertalk/")) and f"include/{path}" in headers
        standard = re.fullmatch(r"[a-z_]+", path) or path in C_HEADERS
        asio = name == MAY_INCLUDE_ASIO and path.startswith("boost/asio")
        if not (ours or standard or asio):
            house.say(f"{name}:{number}", f"includes <{path}>; only the standard library and tracked public headers (kith/...) are "
                                          f"allowed: hide it behind a pimpl, or git add the header")

with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for name, errors in zip(headers, pool.map(compiles, headers)):
        if errors:
            house.say(f"{name}:1", "does not compile alone; include what it uses:\n" + errors)
house.finish(f"{len(headers)} public headers")
