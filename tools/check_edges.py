#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares every #include and every USES with the table in tools/edges.txt, and looks for cycles."""

import pathlib
import re

from house import Edges, House, find_cycle, module_of

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

house = House("edges", __doc__)
house.parse()
table = Edges(house.root)
sources = house.files(".hpp", ".cpp", ".h", ".c")
tracked = set(sources)
module_graph, file_graph = {}, {}


def target_of(name, quote, path):
    """The tracked file that an include means, or None when it is none of ours."""
    beside = str(pathlib.PurePosixPath(name).parent / path)
    candidates = [f"src/{path}", f"include/{path}"]
    if quote == '"':
        candidates.insert(0, beside)
    return next((candidate for candidate in candidates if candidate in tracked), None)


def check_third_party(place, name, module, path):
    user = name.removeprefix("include/") if name.startswith("include/") else module
    for prefix, users in table.third_party.items():
        if path.startswith(prefix) and user not in users:
            house.say(place, f"<{path}> may be included by {', '.join(users)} only; use their interface instead "
                             f"(tools/edges.txt [third-party])")


def check_public(place, module, path):
    allowed = table.modules[module]
    owner = table.headers.get(path, "node")
    if "public" not in allowed and not table.may_use(module, owner):
        house.say(place, f"{module} may not use {path}, which belongs to {owner}; take the value as an argument, or, for a value "
                         f"header whose .cpp stands lower, add it to tools/edges.txt [headers]")


def check_header_order(place, header, path):
    module, other = table.headers.get(header, "node"), table.headers.get(path, "node")
    if module in table.modules and "public" not in table.modules[module] and not table.may_use(module, other):
        house.say(place, f"{header} belongs to {module}, which may not use {path} of {other} (tools/edges.txt [headers])")


def check_internal(place, module, other, path):
    module_graph.setdefault(module, set()).add(other)
    if not table.may_use(module, other):
        house.say(place, f"{module} may not use {other} ({path}): return a value to the composer instead; the allowed edges of "
                         f"{module} are {', '.join(table.modules[module]) or 'none'} (tools/edges.txt)")


def check_file(name):
    module = module_of(name)
    public = name.startswith("include/")
    if module is not None and module not in table.modules:
        house.say(f"{name}:1", f"module {module} is not in tools/edges.txt; add it with its allowed edges")
        return
    for number, line in enumerate(house.lines(name), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, path = match.groups()
        place = f"{name}:{number}"
        if ".." in pathlib.PurePosixPath(path).parts and (public or module is not None):
            house.say(place, f'include "{path}" climbs; write it from src/ as "module/file.hpp"')
            continue
        target = target_of(name, quote, path)
        if target is not None:
            file_graph.setdefault(name, set()).add(target)
        other = module_of(target) if target else None
        if public:
            if target and not target.startswith("include/"):
                house.say(place, f"a public header may not include {path}; only the standard library and public headers")
            elif target is None:
                check_third_party(place, name, None, path)
            else:
                check_header_order(place, name.removeprefix("include/"), path)
        elif module is not None:
            if target is None:
                check_third_party(place, name, module, path)
            elif target.startswith("include/"):
                check_public(place, module, target.removeprefix("include/"))
            elif other is not None and other != module:
                check_internal(place, module, other, path)


def check_cmake():
    name = "src/CMakeLists.txt"
    text = "\n".join(line.split("#", 1)[0] for line in house.lines(name))
    declared = set()
    for match in re.finditer(r"kith_module\(\s*(\w+)([^)]*)\)", text):
        module, rest = match.group(1), match.group(2).split()
        declared.add(module)
        place = f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
        if module not in table.modules:
            house.say(place, f"module {module} is not in tools/edges.txt; add it with its allowed edges")
            continue
        uses, keyword = [], None
        for word in rest:
            if word in ("USES", "LINKS", "APART"):
                keyword = word
            elif keyword == "USES":
                uses.append(word)
        for other in uses:
            if not table.may_use(module, other):
                house.say(place, f"USES {other}: not an allowed edge of {module}; remove it, or change the design with an ADR "
                                 f"and then tools/edges.txt")
        for other in module_graph.get(module, set()) - set(uses) - {"base"}:
            house.say(place, f"{module} includes headers of {other} but does not name it in USES")
    return declared


def check_printed_table():
    """ARCHITECTURE.md prints the table as rows | module | text | uses |."""
    name = "ARCHITECTURE.md"
    printed = {}
    for number, line in enumerate(house.lines(name), 1):
        match = re.fullmatch(r"\| ([a-z_]+) \| .* \| ([a-z_ -]+) \|", line)
        if match and match[1] != "module":
            printed[match[1]] = number, match[2].replace("-", "").split()
    for module, uses in table.modules.items():
        number, shown = printed.pop(module, (1, None))
        if shown != uses:
            house.say(f"{name}:{number}", f"the row of {module} must end with | {' '.join(uses) or '-'} | as tools/edges.txt has it")
    for module, (number, _) in printed.items():
        house.say(f"{name}:{number}", f"module {module} is not in tools/edges.txt; remove the row or add the module there")


for source in sources:
    check_file(source)
check_cmake()
check_printed_table()
for what, graph in (("modules", module_graph), ("files", file_graph)):
    cycle = find_cycle(graph)
    if cycle:
        house.say(f"{cycle[0]}:1", f"a cycle of {what}: {' -> '.join(cycle)}; move what both need below both")
house.finish(f"{len(sources)} files, {sum(len(others) for others in module_graph.values())} edges between modules")
