#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Documents tell the truth where a script can know it: code under <!-- file: path --> is that file, links lead to files,
and `make target` names a target of the Makefile."""

import re

from house import House

COPY = re.compile(r"<!-- file: (\S+) -->")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)")
TARGET = re.compile(r"`make ([a-z][a-z0-9-]*)")

house = House("docs", __doc__)
house.parse()
tracked = set(house.files())
targets = set(re.findall(r"^([a-z][a-z0-9-]*)[a-z0-9 -]*:", "\n".join(house.lines("Makefile")), re.MULTILINE))


def code_under(lines, start):
    """The fenced block that follows line index `start` after at most one blank line, or None."""
    while start < len(lines) and not lines[start].strip():
        start += 1
    if start >= len(lines) or not lines[start].startswith("```"):
        return None
    end = start + 1
    while end < len(lines) and not lines[end].startswith("```"):
        end += 1
    return lines[start + 1:end]


def without_head(lines):
    """Licence lines are not part of what a document shows."""
    return lines[1:] if lines and lines[0].startswith("// SPDX") else lines


documents = house.files(".md")
for name in documents:
    folder = name.rpartition("/")[0]
    lines = house.lines(name)
    fenced = False
    for number, line in enumerate(lines, 1):
        fenced ^= line.startswith("```")
        copy = COPY.search(line)
        if copy:
            path = copy[1]
            if path not in tracked:
                house.say(f"{name}:{number}", f"{path} does not exist or is not tracked")
            elif code_under(lines, number) != without_head(house.lines(path)):
                house.say(f"{name}:{number}", f"the code below is not {path}; copy that file here, without its licence line")
        if fenced:
            continue
        for link in LINK.findall(line):
            parts = []
            for part in f"{folder}/{link}".strip("/").split("/"):
                if part == ".." and parts:
                    parts.pop()
                elif part not in ("", "."):
                    parts.append(part)
            path = "/".join(parts)
            if path not in tracked and not any(other.startswith(path + "/") for other in tracked):
                house.say(f"{name}:{number}", f"the link {link} leads nowhere; correct it or git add the file")
        for target in TARGET.findall(line):
            if target not in targets:
                house.say(f"{name}:{number}", f"the Makefile has no target {target}")
house.finish(f"{len(documents)} documents")
