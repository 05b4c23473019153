#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/setup.sh [group...]: installs what tools/packages.txt lists for these groups and this machine lacks.
# Without a group: build and test. `--list` prints what is missing and installs nothing.
# Quick and silent when nothing is missing; then it needs no rights, no network and no apt.
set -euo pipefail
cd "$(dirname "$0")/.."

list_only=no
if [ "${1:-}" = "--list" ]; then list_only=yes; shift; fi
[ $# -gt 0 ] || set -- build test

known=$(awk '!/^ *(#|$)/ {print $1}' tools/packages.txt | sort -u)
for group in "$@"; do
  grep -qx -- "$group" <<<"$known" || { echo "setup: no group '$group' in tools/packages.txt; groups: ${known//$'\n'/ }" >&2; exit 2; }
done

installed=" "
if command -v dpkg-query >/dev/null 2>&1; then
  installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | awk '$1 == "installed" {print $2}' | tr '\n' ' ')"
fi

missing=()
while read -r group package command; do
  case "$group" in ''|'#'*) continue ;; esac
  case " $* " in *" $group "*) ;; *) continue ;; esac
  if [ -n "$command" ] && command -v "$command" >/dev/null 2>&1; then continue; fi
  case "$installed" in *" $package "*) continue ;; esac
  case " ${missing[*]-} " in *" $package "*) continue ;; esac
  missing+=("$package")
done <tools/packages.txt

if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
if [ $list_only = yes ]; then printf '%s\n' "${missing[@]}"; exit 0; fi

echo "setup: missing: ${missing[*]}"
if ! command -v apt-get >/dev/null 2>&1; then
  echo "setup: there is no apt-get here. Install the equivalent of these Debian 12 packages yourself, then run this again: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "setup: not root and no sudo. Run as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"; }
apt update -q || { echo "setup: apt-get update failed; is there a network and the right to install? Needed: ${missing[*]}" >&2; exit 1; }
apt install -q -y --no-install-recommends "${missing[@]}" || {
  echo "setup: apt-get could not install: ${missing[*]}. The list is made for Debian 12; on another release edit tools/packages.txt." >&2
  exit 1
}
