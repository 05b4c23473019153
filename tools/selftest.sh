#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The checks checked: in a small tree every check passes, and each planted violation is found and named with its line.
# selftest.sh plain (no clang needed) | clang
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kind=${1:-plain}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0
tried=0

write() { mkdir -p "$tree/$(dirname "$1")"; cat >"$tree/$1"; }

# Run a check on the tree: output in $said, exit code in $code.
run() {
  git -C "$tree" add -A
  set +e
  said=$("$here/$1" --root "$tree" "${@:2}" 2>&1)
  code=$?
  set -e
}
clean() {
  tried=$((tried + 1))
  run "$@"
  if [ $code -ne 0 ]; then echo "selftest: $1 finds fault with a clean tree:"; echo "$said"; failed=1; fi
}
# finds EXPECTED CHECK [ARG...]: the check must fail and print EXPECTED; then the tree is as before.
finds() {
  tried=$((tried + 1))
  local expected=$1
  shift
  run "$@"
  if [ $code -eq 0 ]; then echo "selftest: $1 did not find: $expected"; failed=1
  elif [[ "$said" != *"$expected"* ]]; then echo "selftest: $1 did not say: $expected"; echo "$said"; failed=1; fi
  git -C "$tree" checkout -q HEAD -- . && git -C "$tree" clean -qfd -e build && git -C "$tree" reset -q --hard
}

git init -q "$tree"
git -C "$tree" config user.email house@example.org
git -C "$tree" config user.name house
cp -r "$here" "$tree/tools"
cp "$here/../.clang-format" "$here/../.clang-tidy" "$here/../Makefile" "$tree/"
sed -E 's/\]\([^)]*\)/]/g' "$here/../ARCHITECTURE.md" >"$tree/ARCHITECTURE.md"  # its links lead out of the small tree
# The small tree is not the real one: it has its own reasons for sizes, none.
: >"$tree/tools/size_reasons.txt"
rm -rf "$tree/tools/__pycache__"
write .gitignore <<<"build/"
write include/kith/error.hpp <<'X'
// A public header.
#pragma once
#include <string>
namespace kith {
inline std::string name() { return "kith"; }
}  // namespace kith
X
write include/kith/node.hpp <<'X'
#pragma once
#include "kith/error.hpp"
X
write src/CMakeLists.txt <<'X'
kith_module(base)
kith_module(wire USES base)
kith_module(mux USES base wire)
X
write src/base/text.hpp <<'X'
#pragma once
#include <string>
namespace kith {
std::string text(int value);
}  // namespace kith
X
write src/base/text.cpp <<'X'
// A comment may say steady_clock::now() and std::mutex.
#include "base/text.hpp"

#include "kith/error.hpp"

namespace kith {
std::string text(int value) { return name() + std::to_string(value); }
}  // namespace kith
X
write src/wire/frame.hpp <<'X'
#pragma once
#include "base/text.hpp"
X
write src/mux/mux.hpp <<'X'
#pragma once
#include "wire/frame.hpp"
X
git -C "$tree" add -A
git -C "$tree" commit -q -m start

# plant FILE: appends stdin; the line that it becomes is the last one.
plant() { mkdir -p "$tree/$(dirname "$1")"; cat >>"$tree/$1"; }

library() {  # builds the modules of the small tree the way the build folder has them
  mkdir -p "$tree/build/src"
  g++ -std=c++20 -O1 -fPIC -I"$tree/include" -I"$tree/src" -c "$tree/src/base/text.cpp" -o "$tree/build/src/text.cpp.o"
  rm -f "$tree/build/src/libkith_base.a"
  ar qcs "$tree/build/src/libkith_base.a" "$tree/build/src/text.cpp.o"
}

if [ "$kind" = plain ]; then
  clean check_edges.py
  plant src/wire/frame.hpp <<<'#include "mux/mux.hpp"'
  finds "src/wire/frame.hpp:3: wire may not use mux" check_edges.py
  plant src/base/text.hpp <<<'#include "wire/frame.hpp"'
  finds "a cycle of modules: base -> wire -> base" check_edges.py
  plant src/mux/mux.hpp <<<'#include "kith/node.hpp"'
  finds "src/mux/mux.hpp:3: mux may not use kith/node.hpp, which belongs to node" check_edges.py
  plant include/kith/error.hpp <<<'#include "kith/node.hpp"'
  finds "include/kith/error.hpp:7: kith/error.hpp belongs to base, which may not use kith/node.hpp" check_edges.py
  plant src/mux/mux.hpp <<<'#include "../wire/frame.hpp"'
  finds "src/mux/mux.hpp:3: include \"../wire/frame.hpp\" climbs" check_edges.py
  plant include/kith/error.hpp <<<'#include "base/text.hpp"'
  finds "include/kith/error.hpp:7: a public header may not include base/text.hpp" check_edges.py
  plant src/mux/mux.hpp <<<'#include <boost/asio/buffer.hpp>'
  finds "src/mux/mux.hpp:3: <boost/asio/buffer.hpp> may be included by io, kith/asio.hpp" check_edges.py
  plant src/CMakeLists.txt <<<'kith_module(crypto USES base wire)'
  finds "src/CMakeLists.txt:4: USES wire: not an allowed edge of crypto" check_edges.py
  sed -i 's/ base wire)/ base)/' "$tree/src/CMakeLists.txt"
  finds "mux includes headers of wire but does not name it in USES" check_edges.py
  plant src/god/god.hpp <<<'#pragma once'
  finds "src/god/god.hpp:1: module god is not in tools/edges.txt" check_edges.py
  plant src/wire/a.hpp <<<'#include "wire/b.hpp"'
  plant src/wire/b.hpp <<<'#include "wire/a.hpp"'
  finds "a cycle of files: src/wire/a.hpp -> src/wire/b.hpp -> src/wire/a.hpp" check_edges.py
  plant apps/kith/main.cpp <<<'#include "base/text.hpp"'
  finds "apps/kith/main.cpp:1: apps may not use" check_edges.py

  sed -i 's/^| mux | .*/| mux | yamux | base io |/' "$tree/ARCHITECTURE.md"
  finds "the row of mux must end with | base wire |" check_edges.py

  clean check_purity.py
  for token in 'auto a = std::chrono::steady_clock::now();' 'std::mutex m;' 'std::random_device d;' 'int s = ::socket(1, 2, 3);' \
      'auto t = ::time(nullptr);' 'auto e = std::getenv("HOME");' 'auto f = fopen("x", "r");' '#include <fstream>' 'std::thread t;' \
      'static int counter = 0;' 'auto n = system_clock::now();' 'std::condition_variable c;'; do
    plant src/mux/mux.hpp <<<"$token"
    finds "src/mux/mux.hpp:3: " check_purity.py
  done
  library
  clean check_purity.py --build build
  symbol() { plant src/base/text.cpp; library; finds "src/base/text.cpp:1: $1" check_purity.py --build build; }
  symbol 'the object needs `clock_gettime`' <<<'#include <time.h>
#define LOOK clock_##gettime
timespec look() { timespec t; clock_gettime(CLOCK_REALTIME, &t); return t; }'
  symbol 'the object needs `rand`' <<<'#include <cstdlib>
int dice() { return std::rand(); }'
  symbol 'the object needs `socket`' <<<'extern "C" int socket(int, int, int) noexcept;
int open_one() { return socket(2, 1, 0); }'
  symbol 'the object needs `std::chrono::' <<<'#include <chrono>
auto now() { using C = std::chrono::steady_clock; return C::now(); }'
  symbol 'the object needs `pthread_mutex_lock`' <<<'#include <pthread.h>
int lock(pthread_mutex_t& m) { return pthread_mutex_lock(&m); }'
  symbol '`hidden_counter` is a writable global' <<<'int hidden_counter = 3;
int next() { return ++hidden_counter; }'
  rm -r "$tree/build"
  finds "libkith_base.a is not built" check_purity.py --build build

  clean check_headers.py
  plant include/kith/node.hpp <<<'inline std::vector<int> v() { return {}; }'
  finds "include/kith/node.hpp:1: does not compile alone" check_headers.py
  plant include/kith/node.hpp <<<'#include <openssl/evp.h>'
  finds "include/kith/node.hpp:3: includes <openssl/evp.h>" check_headers.py
  sed -i /pragma/d "$tree/include/kith/node.hpp"
  finds "include/kith/node.hpp:1: no #pragma once" check_headers.py

  clean check_sizes.py
  seq 801 | sed 's,^,// ,' | plant src/mux/long.cpp
  finds "src/mux/long.cpp:801: 801 lines, over 800" check_sizes.py
  plant tools/size_reasons.txt <<<'src/mux/mux.hpp a table'
  finds "tools/size_reasons.txt:1: src/mux/mux.hpp has 2 lines; its reason is no longer needed" check_sizes.py
  plant tools/size_reasons.txt <<<'src/mux/mux.hpp'
  finds "src/mux/mux.hpp has no reason" check_sizes.py

  clean check_leaks.py
  plant docs/a.md <<<"see /""home/somebody/file"
  finds "docs/a.md:1: " check_leaks.py
  plant src/mux/mux.hpp <<<"// TO""DO: later"
  finds "src/mux/mux.hpp:3: " check_leaks.py

  plant a.md <<<'See [the node](include/kith/node.hpp), [them](https://example.org), `make test`.'
  plant a.md <<<'<!-- file: include/kith/node.hpp -->
```cpp
#pragma once
#include "kith/error.hpp"
```'
  git -C "$tree" add a.md && git -C "$tree" commit -q -m document
  clean check_docs.py
  plant include/kith/node.hpp <<<'struct Node;'
  finds "a.md:2: the code below is not include/kith/node.hpp" check_docs.py
  plant a.md <<<'[gone](docs/gone.md)'
  finds "a.md:7: the link docs/gone.md leads nowhere" check_docs.py
  plant a.md <<<'`make tea`'
  finds "a.md:7: the Makefile has no target tea" check_docs.py
elif [ "$kind" = clang ]; then
  mkdir -p "$tree/build"
  database() {
    printf '[{"directory":"%s","file":"%s","output":"x.o","command":"g++ -std=c++20 -I%s/include -I%s/src -c %s"}]' \
      "$tree/build" "$tree/src/base/text.cpp" "$tree" "$tree" "$tree/src/base/text.cpp" >"$tree/build/compile_commands.json"
  }
  database
  clean check_tidy.py --build build
  plant src/base/text.cpp <<<'struct Loose { Loose(int); };'
  finds "google-explicit-constructor" check_tidy.py --build build
  printf 'int   badly( );\n' >"$tree/bad.cpp"
  tried=$((tried + 1))
  if clang-format-19 --dry-run -Werror "$tree/bad.cpp" 2>/dev/null; then echo "selftest: clang-format did not find bad.cpp"; failed=1; fi
else
  echo "selftest.sh plain | clang" >&2
  exit 2
fi
[ $failed = 0 ] && echo "selftest $kind: ok ($tried trials)" || echo "selftest $kind: FAILED"
exit $failed
