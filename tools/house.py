# SPDX-License-Identifier: Apache-2.0
"""What the checks of this folder share: the tree's tracked files, tools/edges.txt, and one way to report."""

import argparse
import pathlib
import re
import subprocess
import sys


class House:
    """One run of one check. `say` reports a fault as file:line with what to do; `finish` prints the verdict and exits."""

    def __init__(self, name, description):
        self.name = name
        self.faults = 0
        self.parser = argparse.ArgumentParser(description=description)
        self.parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)

    def parse(self):
        self.options = self.parser.parse_args()
        self.root = self.options.root.resolve()
        return self.options

    def files(self, *suffixes):
        """Tracked files that exist, with one of the suffixes (all without any), relative to the root, sorted."""
        listed = subprocess.run(["git", "-c", "safe.directory=*", "-C", self.root, "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
        names = sorted(name for name in listed.split("\0") if name and (self.root / name).is_file())
        return [name for name in names if not suffixes or name.endswith(suffixes)]

    def lines(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace").splitlines()

    def say(self, place, what):
        self.faults += 1
        print(f"{place}: {what}")

    def finish(self, seen):
        verdict = f"{self.faults} fault(s)" if self.faults else "ok"
        print(f"{self.name}: {verdict} ({seen})")
        sys.exit(1 if self.faults else 0)


class Edges:
    """tools/edges.txt: modules -> allowed modules, public headers -> owner, third-party prefixes -> users, pure modules."""

    def __init__(self, root):
        self.modules, self.headers, self.third_party, self.pure = {}, {}, {}, []
        section = ""
        path = root / "tools" / "edges.txt"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            line = line.split("#", 1)[0].strip()
            if not line:
                continue
            if line.startswith("["):
                section = line
            elif section == "[pure]":
                self.pure += line.split()
            else:
                key, colon, values = line.partition(":")
                if not colon:
                    sys.exit(f"tools/edges.txt:{number}: expected 'name: values'")
                if section == "[modules]":
                    self.modules[key.strip()] = values.split()
                elif section == "[headers]":
                    self.headers[key.strip()] = values.strip()
                elif section == "[third-party]":
                    self.third_party[key.strip()] = values.split()
        for name, uses in self.modules.items():
            if name not in ("base", "apps", "examples") and "base" not in uses:
                uses.insert(0, "base")

    def may_use(self, module, other):
        return module == other or other in self.modules.get(module, [])


def module_of(name):
    """The module a file belongs to: src/<module>/..., apps/..., examples/...; None for tests, bench and tools."""
    match = re.match(r"src/([a-z0-9_]+)/", name)
    if match:
        return match.group(1)
    for folder in ("apps", "examples"):
        if name.startswith(folder + "/"):
            return folder
    return None


def find_cycle(graph):
    """One cycle of a graph {node: iterable of nodes} as a list that ends where it began, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for other in sorted(graph.get(node, ())):
            cycle = visit(other)
            if cycle:
                return cycle
        path.pop()
        done.add(node)
        return None

    for start in sorted(graph):
        cycle = visit(start)
        if cycle:
            return cycle
    return None
