#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rule 1: no clock, thread, lock, socket, file, randomness or mutable global at or below `engine`.

Looks twice: for tokens in the source (says the line), and, with --build, for undefined symbols and writable data in the
built libraries (sees what macros, templates and other people's inline functions bring in). Atomics are allowed: a counted
message is released on another thread."""

import re
import subprocess

from house import Edges, House, module_of

ADVICE = {
    "clock": "take the time as an argument (Instant)",
    "thread": "the engine belongs to one loop; threads live in node",
    "socket": "return an output; sockets live in io",
    "file": "return an output; files live in io and store",
    "random": "take the random bytes as an argument",
    "environment": "take the setting from the module's config",
    "global": "make it constexpr, or a member of an object that somebody owns",
}

CALL = r"(?<![\w.>:])(?:::|std::)?"
TOKENS = [
    ("clock", r"\b(?:steady_clock|system_clock|high_resolution_clock|utc_clock)::now\b"),
    ("clock", CALL + r"(?:clock_gettime|gettimeofday|timespec_get|localtime|gmtime|localtime_r|gmtime_r)\s*\("),
    ("clock", r"(?:::|\bstd::)time\s*\("),
    ("clock", r"\b(?:this_thread|nanosleep|usleep)\b"),
    ("thread", r"\bstd::(?:thread|jthread|mutex|recursive_mutex|shared_mutex|timed_mutex|lock_guard|unique_lock|scoped_lock|"
               r"condition_variable|future|promise|async|call_once|once_flag|counting_semaphore|latch|barrier)\b"),
    ("thread", r"\b(?:thread_local|pthread_\w+)\b"),
    ("thread", r"#\s*include\s*<(?:thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier)>"),
    ("socket", r"#\s*include\s*<(?:sys/socket\.h|netinet/[\w.]+|arpa/inet\.h|netdb\.h|net/if\.h|ifaddrs\.h|poll\.h|sys/epoll\.h)>"),
    ("socket", r"(?<![\w.>:])::(?:socket|connect|bind|listen|accept|send|recv|sendto|recvfrom|getaddrinfo)\s*\("),
    ("socket", r"(?<![\w.>:])socket\s*\("),
    ("file", r"#\s*include\s*<(?:fstream|filesystem|iostream|cstdio|stdio\.h|fcntl\.h|unistd\.h|sys/stat\.h)>"),
    ("file", r"\bstd::(?:[io]?fstream|filesystem|cout|cerr|clog|cin|FILE)\b"),
    ("file", CALL + r"(?:fopen|fread|fwrite|printf|fprintf|puts)\s*\("),
    ("random", r"\brandom_device\b|\brandombytes_?\w*|\bRAND_(?:priv_)?bytes\b"),
    ("random", CALL + r"(?:rand|srand|random|getrandom|getentropy|arc4random)\s*\("),
    ("environment", CALL + r"(?:getenv|secure_getenv|setenv)\s*\("),
]
TOKENS = [(kind, re.compile(pattern)) for kind, pattern in TOKENS]

# A variable at namespace or function scope that is static and neither const nor constexpr.
STATIC = re.compile(r"^\s*(?:inline\s+static|static|static\s+inline)\s+(?!const\b|constexpr\b|constinit\s+const\b|inline\b)"
                    r"[\w:<>,\s*&]+?\s[*&]?\w+\s*(?:=|;|\{[^}]*\}\s*;)")

SYMBOLS = {
    "clock": r"(?:clock_gettime|gettimeofday|time|clock|timespec_get|localtime|gmtime|localtime_r|gmtime_r|nanosleep|usleep|sleep|"
             r"std::chrono::_V2::\w+::now\(\).*)",
    "thread": r"(?:pthread_(?!once$|self$|equal$)\w+|std::thread::.*|std::condition_variable.*|std::__once_call\w*|"
              r"std::this_thread.*|sem_\w+|futex)",
    "socket": r"(?:socket|connect|bind|listen|accept4?|send|recv|sendto|recvfrom|sendmsg|recvmsg|getaddrinfo|getifaddrs|poll|"
              r"epoll_\w+|if_nametoindex|if_indextoname)",
    "file": r"(?:open|open64|openat|creat|fopen|fopen64|read|write|pread|pwrite|stat|lstat|fstat|unlink|rename|mkdir|printf|puts|"
            r"fprintf|fwrite|fputs|fputc|putchar|std::basic_[io]?fstream.*|std::basic_filebuf.*|std::filesystem::.*|std::cout|std::cerr|std::clog|std::cin)",
    "random": r"(?:getrandom|getentropy|random|rand|srand|srandom|rand_r|arc4random\w*|randombytes\w*|RAND_\w+|std::random_device::.*)",
    "environment": r"(?:getenv|secure_getenv|setenv|putenv)",
}
SYMBOLS = {kind: re.compile(pattern + "$") for kind, pattern in SYMBOLS.items()}

# objdump -t: value, flags, section, size, name
OBJECT = re.compile(r"^[0-9a-f]+ (?P<flags>.{7}) (?P<section>\S+)\s+(?P<size>[0-9a-f]+)\s+(?:\.hidden )?(?P<name>.+)$")
MUTABLE = re.compile(r"^\.(?:bss|data|tbss|tdata)(?!\.rel\.ro)(?:\.|$)")
MEMBER = re.compile(r"^(\S+\.o):")


def strip_comments(lines):
    """The lines with comments and string contents blanked, so that prose about clocks is no fault."""
    inside = False
    for line in lines:
        out, i = [], 0
        while i < len(line):
            if inside:
                end = line.find("*/", i)
                if end < 0:
                    break
                inside, i = False, end + 2
            elif line.startswith("//", i):
                break
            elif line.startswith("/*", i):
                inside, i = True, i + 2
            elif line[i] == '"':
                end = i + 1
                while end < len(line) and line[end] != '"':
                    end += 2 if line[end] == "\\" else 1
                out.append('""')
                i = end + 1
            else:
                out.append(line[i])
                i += 1
        yield "".join(out)


def check_tokens(name):
    for number, line in enumerate(strip_comments(house.lines(name)), 1):
        for kind, pattern in TOKENS:
            match = pattern.search(line)
            if match:
                house.say(f"{name}:{number}", f"`{match.group(0).strip()}` is a {kind}, banned here: {ADVICE[kind]}")
        if STATIC.match(line) and "(" not in line.split("=")[0].split("{")[0]:
            house.say(f"{name}:{number}", f"a mutable static: {ADVICE['global']}")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def source_of(module, member):
    return f"src/{module}/{member.removesuffix('.o')}"


def check_library(module, library):
    member = ""
    for line in run("nm", "--undefined-only", "-C", str(library)):
        found = MEMBER.match(line)
        if found:
            member = found.group(1)
            continue
        name = line.strip().split(" ", 1)[-1].strip()
        for kind, pattern in SYMBOLS.items():
            if pattern.match(name.split("@")[0]):
                house.say(f"{source_of(module, member)}:1", f"the object needs `{name}`, a {kind}: {ADVICE[kind]}")
    for line in run("objdump", "-t", "-C", str(library)):
        found = MEMBER.match(line)
        if found:
            member = found.group(1)
            continue
        found = OBJECT.match(line)
        if not found or "O" not in found["flags"] or not MUTABLE.match(found["section"]):
            continue
        if found["name"].startswith(("guard variable for", "DW.ref.")):
            continue
        house.say(f"{source_of(module, member)}:1",
                  f"`{found['name']}` is a writable global ({found['section']}): {ADVICE['global']}"
                  + (" (include <ostream> or <istream>, not <iostream>)" if "__ioinit" in found["name"] else "")
                  + ("; if it is constexpr, write out its type: gcc makes a deduced class type writable"
                     if found["section"] == ".data.rel.local" else ""))


house = House("purity", __doc__)
house.parser.add_argument("--build", type=str, help="build folder whose libraries are looked into")
options = house.parse()
table = Edges(house.root)
pure = set(table.pure)
looked = 0
for source in house.files(".hpp", ".cpp"):
    if module_of(source) in pure and source.startswith("src/"):
        looked += 1
        check_tokens(source)
libraries = 0
if options.build:
    for module in table.pure:
        if not any(name.startswith(f"src/{module}/") and name.endswith(".cpp") for name in house.files(".cpp")):
            continue
        library = (house.root / options.build / "src" / f"libkith_{module}.a")
        if not library.is_file():
            house.say(f"src/{module}:1", f"{options.build}/src/libkith_{module}.a is not built; build first (make build)")
            continue
        libraries += 1
        check_library(module, library)
house.finish(f"{looked} files, {libraries} libraries")
