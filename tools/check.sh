#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All parts of `make check`, each with its time. Runs every part even when one failed; fails when any did.
# tools/check.sh [part...] runs only those parts. Needs build/dev (make build) for purity and tidy.
set -uo pipefail
cd "$(dirname "$0")/.."

build=${KITH_CHECK_BUILD:-build/dev}
failed=0
wanted=" $* "
part() {
  local name=$1 begin=$SECONDS
  shift
  [ "$wanted" = "  " ] || [[ "$wanted" == *" $name "* ]] || return 0
  if "$@"; then printf 'check %-9s ok      %3d s\n' "$name" $((SECONDS - begin))
  else printf 'check %-9s FAILED  %3d s\n' "$name" $((SECONDS - begin)); failed=1; fi
}

format() {
  local files
  mapfile -d '' -t files < <(git -c 'safe.directory=*' ls-files -z -- '*.hpp' '*.cpp' '*.h' '*.c')
  local faults  # one line per file is enough: the tool mends all of it
  faults=$(clang-format-19 --dry-run --ferror-limit=1 "${files[@]}" 2>&1 | grep -E '^[^ ].*:[0-9]+:[0-9]+: (warning|error)' | sort -u -t: -k1,1)
  if [ -n "$faults" ]; then
    sed -E 's/^([^:]*:[0-9]+).*/\1: not formatted; run clang-format-19 -i on this file/' <<<"$faults"
    return 1
  fi
  echo "format: ok (${#files[@]} files)"
}

part format format
part edges tools/check_edges.py
part purity tools/check_purity.py --build "$build"
part headers tools/check_headers.py
part sizes tools/check_sizes.py
part leaks tools/check_leaks.py
part docs tools/check_docs.py
part tidy tools/check_tidy.py --build "$build"
part selftest tools/selftest.sh clang
[ $failed = 0 ] && echo "make check: ok in $SECONDS s" || echo "make check: FAILED after $SECONDS s"
exit $failed
