#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks in all tracked text for paths of somebody's machine, left-over marks and merge conflicts."""

import re

from house import House

# Written so that this file does not contain what it looks for.
RULES = [
    (re.compile(r"(?:^|[^A-Za-z0-9_.~/$}-])/(?:wor[k]|far[m]|roo[t]|hom[e])/\w"),
     "a path of one machine; use a relative path, a variable or a temporary folder"),
    (re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b"), "a left-over mark; do it now, or open an issue and say the limit in the documentation"),
    (re.compile(r"^(?:<{7}|>{7}) "), "a merge conflict; resolve it"),
]
SKIP = ("tests/data/", "tests/fuzz/corpus/", "LICENSE")

house = House("leaks", __doc__)
house.parse()
looked = 0
for name in house.files():
    if name.startswith(SKIP):
        continue
    data = (house.root / name).read_bytes()
    if b"\0" in data:
        continue
    looked += 1
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        for pattern, advice in RULES:
            match = pattern.search(line)
            if match:
                house.say(f"{name}:{number}", f"`{match.group(0).strip()}` is {advice}")
house.finish(f"{looked} files")
