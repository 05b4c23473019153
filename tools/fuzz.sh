#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/fuzz.sh BUILD SECONDS: runs every fuzz target of BUILD for SECONDS, two at a time or as many as there are cores.
# Seeds: tests/fuzz/corpus/<name> (kept in git). What it learns: BUILD/corpus/<name>. Crashing inputs: BUILD/crashes/<name>-*.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
seconds=$2
crashes=$build/crashes
logs=$build/fuzz-logs
mkdir -p "$crashes" "$logs"

one() {
  local program=$1 name
  name=$(basename "$program"); name=${name#fuzz_}
  mkdir -p "$build/corpus/$name"
  local seeds=()
  [ -d "tests/fuzz/corpus/$name" ] && seeds=("tests/fuzz/corpus/$name")
  if "$program" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
      -artifact_prefix="$crashes/$name-" "$build/corpus/$name" "${seeds[@]}" >"$logs/$name.log" 2>&1; then
    printf 'fuzz %-28s ok      %s runs, %s\n' "$name" \
      "$(awk '/stat::number_of_executed_units/ {print $2}' "$logs/$name.log")" \
      "$(grep -o 'cov: [0-9]*' "$logs/$name.log" | tail -n 1)"
  else
    printf 'fuzz %-28s FAILED  see %s; input in %s\n' "$name" "$logs/$name.log" "$crashes"
    grep -E "SUMMARY|ERROR|runtime error|Test unit written" "$logs/$name.log" | cut -c1-200 || true
    return 1
  fi
}
export -f one
export build seconds crashes logs

mapfile -t programs < <(find "$build/tests/fuzz" -maxdepth 1 -type f -perm -u+x -name 'fuzz_*' | sort)
if [ ${#programs[@]} -eq 0 ]; then echo "fuzz: no target in $build/tests/fuzz" >&2; exit 1; fi
echo "fuzz: ${#programs[@]} targets, $seconds s each"
printf '%s\0' "${programs[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'one "$0"' || { echo "fuzz: FAILED" >&2; exit 1; }
echo "fuzz: no failure"
