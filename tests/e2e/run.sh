#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make e2e`: the namespace tests with their times judged, three times each, and the ones that take minutes. KITH_E2E_SCALE: how
# much of the fault matrix, default 0.1.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
peer=build/dev/tests/e2e/lan_peer
for program in "$peer" build/dev/apps/kith/kith build/dev/tests/e2e/{delivery_peer,durable_peer,history_check,netimp}; do
  if [ ! -x "$program" ]; then
    echo "run.sh: $program is not built (make build)" >&2
    exit 1
  fi
done
failed=0
echo "== hosts on a LAN: found within 2 s, 1,000 messages each way (load: $(cut -d' ' -f1 /proc/loadavg))"
python3 -B tests/e2e/lan/lan_test.py "$peer" --judge-times --repeat 3 || failed=1
echo "== csend's sequence between three hosts, and bursts"
python3 -B tests/e2e/csend_test.py build/dev/apps/kith/kith --judge-times --repeat 3 || failed=1
echo "== cuts, late hosts, dead hosts (two minutes)"
python3 -B tests/e2e/lan/long_test.py "$peer" || failed=1
echo "== the fault matrix, a tenth of its repetitions (a quarter of an hour)"
python3 -B tests/e2e/matrix/matrix_test.py build/dev/tests/e2e --judge-times --scale "${KITH_E2E_SCALE:-0.1}" || failed=1
echo "== processes killed at random times, 100 times each (three minutes)"
python3 -B tests/e2e/kill_test.py build/dev/tests/e2e --kills 100 || failed=1
if [ "$failed" = 1 ]; then
  echo "make e2e: FAILED"
  exit 1
fi
echo "make e2e: passed"
