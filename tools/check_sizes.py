#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rule 10: a file over 500 lines is told, one over 800 fails, unless tools/size_reasons.txt gives its reason."""

from house import House

WARN, FAIL = 500, 800
SUFFIXES = (".hpp", ".cpp", ".h", ".c", ".py", ".sh", ".cmake", ".js", ".mjs", ".go", "CMakeLists.txt", "Makefile")

house = House("sizes", __doc__)
house.parse()

reasons = {}
where = "tools/size_reasons.txt"
if (house.root / where).is_file():
    for number, line in enumerate(house.lines(where), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition(" ")
        if not reason.strip():
            house.say(f"{where}:{number}", f"{name} has no reason; write why it cannot be split")
        reasons[name] = number

looked = 0
for name in house.files(*SUFFIXES):
    if name.startswith("tests/data/"):
        continue
    looked += 1
    count = len(house.lines(name))
    if name in reasons:
        if count <= WARN:
            house.say(f"{where}:{reasons[name]}", f"{name} has {count} lines; its reason is no longer needed, remove the line")
        continue
    if count > FAIL:
        house.say(f"{name}:{count}", f"{count} lines, over {FAIL}: split it by responsibility, or give a reason in {where}")
    elif count > WARN:
        print(f"{name}:{count}: note: {count} lines, over {WARN}: is there a second responsibility in it?")
house.finish(f"{looked} files")
