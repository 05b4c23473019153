#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Talks to other libp2p implementations: builds the js and go test peers and kith, then runs matrix.py.
#
#   tests/interop/run.sh               kith against js, and against go when a Go toolchain is present
#   tests/interop/run.sh --peers-only  js and go against each other: proves the peers themselves, needs no kith
#
# KITH_INTEROP_REQUIRED=1  fail when Node.js is missing (otherwise that is said and the run counts as done)
# KITH_INTEROP_GO=0        leave go out even when a toolchain is present
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/build/interop
release=$root/build/release
mkdir -p "$work"

say() { printf 'interop: %s\n' "$*"; }

missing() {
  say "$1"
  if [ -n "${KITH_INTEROP_REQUIRED:-}" ]; then exit 1; fi
  exit 0
}

# unchanged STAMP DIGEST: true when the stamp file holds this digest, that is, nothing has to be rebuilt.
unchanged() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

prepare_js() {
  local digest
  digest=$( (node --version; cat "$here"/js/package.json "$here"/js/package-lock.json) | sha256sum)
  mkdir -p "$work/js"
  cp "$here"/js/*.mjs "$here"/js/package.json "$here"/js/package-lock.json "$here"/js/.npmrc "$work/js/"
  if ! unchanged "$work/js.stamp" "$digest"; then
    say "installing js-libp2p"
    rm -f "$work/js.stamp"
    # The engine warnings are known: polyfill.mjs supplies what Node 20 lacks.
    (cd "$work/js" && timeout 180 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    printf '%s\n' "$digest" >"$work/js.stamp"
  fi
}

prepare_go() {
  local digest
  digest=$( ("$1" version; cat "$here"/go/go.mod "$here"/go/go.sum "$here"/go/*.go) | sha256sum)
  if ! unchanged "$work/go.stamp" "$digest"; then
    say "building the go-libp2p peer"
    rm -f "$work/go.stamp"
    (cd "$here/go" && GOTOOLCHAIN=local timeout 240 "$1" build -buildvcs=false -o "$work/go-peer" .)
    printf '%s\n' "$digest" >"$work/go.stamp"
  fi
}

find_go() {
  if [ "${KITH_INTEROP_GO:-1}" = 0 ]; then return 1; fi
  command -v go || { [ -x /usr/local/go/bin/go ] && echo /usr/local/go/bin/go; }
}

# The Go toolchain must be at least as new as go.mod says; nothing is downloaded to make it so.
go_is_new_enough() {
  local have want
  have=$(GOTOOLCHAIN=local "$1" env GOVERSION)
  have=${have#go}
  want=$(awk '$1 == "go" { print $2 }' "$here/go/go.mod")
  [ "$(printf '%s\n%s\n' "$want" "${have%%-*}" | sort -V | head -n 1)" = "$want" ]
}

command -v node >/dev/null && command -v npm >/dev/null || missing "Node.js and npm not found: not run"
node_major=$(node -p 'process.versions.node.split(".")[0]')
[ "$node_major" -ge 20 ] || missing "Node.js $node_major found, 20 or newer needed: not run"

peers=js
prepare_js
if go=$(find_go); then
  if go_is_new_enough "$go"; then
    prepare_go "$go"
    peers=js,go
  else
    say "the Go toolchain ($("$go" env GOVERSION)) is older than go.mod asks: go-libp2p left out"
  fi
else
  say "no Go toolchain used: go-libp2p left out"
fi

if [ "${1:-}" != --peers-only ]; then
  if [ ! -f "$release/build.ninja" ]; then (cd "$root" && cmake --preset release --log-level=WARNING); fi
  ninja -C "$release" --quiet kith-cli interop-peer
fi
exec python3 -B "$here/matrix.py" --peers "$peers" --work "$work" --build "$release" "$@"
