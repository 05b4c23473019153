#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make bench`: every benchmark of the release build, one table, and build/bench.json. Arguments: only these (messages bulk ...).
set -eu -o pipefail
cd "$(dirname "$0")/.."
[ "$(ulimit -n)" -ge 15000 ] || ulimit -n "$(ulimit -H -n)"
exec python3 -B bench/run.py build/release/bench build/bench.json "$@"
