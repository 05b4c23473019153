#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# consume.sh WAY FOLDER: one way for a stranger to use kith, in a folder outside of the source tree's knowledge.
# From the environment: KITH_SOURCE, KITH_BUILD (already built), KITH_CXX, KITH_CXX_FLAGS.
set -euo pipefail
way=$1
folder=$2
prefix=$folder/prefix
consumer=$KITH_SOURCE/tests/packaging/consumer
work=$folder/$way

runs() {  # the program prints the version of the library it was linked with
  local said
  said=$("$@")
  case "$said" in
    "kith "[0-9]*.[0-9]*.[0-9]*) echo "$way: $said" ;;
    *) echo "$way: expected 'kith <version>', got '$said'" >&2; exit 1 ;;
  esac
}

case $way in
  install)
    rm -rf "$prefix"
    cmake --install "$KITH_BUILD" --prefix "$prefix" --component kith_development >/dev/null
    for header in "$KITH_SOURCE"/include/kith/*.hpp; do
      [ -f "$prefix/include/kith/$(basename "$header")" ] || { echo "install: $(basename "$header") is not installed" >&2; exit 1; }
    done
    ;;
  find_package)
    rm -rf "$work"
    cmake -S "$consumer" -B "$work" -G Ninja -DCMAKE_CXX_COMPILER="$KITH_CXX" -DCMAKE_PREFIX_PATH="$prefix" -DWAY=find_package >/dev/null
    cmake --build "$work"
    runs "$work/consumer"
    ;;
  pkg_config)
    mkdir -p "$work"
    export PKG_CONFIG_PATH
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name kith.pc)")
    # shellcheck disable=SC2046  # several flags
    "$KITH_CXX" -std=c++20 "$consumer/main.cpp" -o "$work/consumer" $(pkg-config --cflags --libs --static kith)
    runs "$work/consumer"
    ;;
  fetch_content)
    # The flags of the build that ran before, so that ccache, where it is, has every object already.
    cmake -S "$consumer" -B "$work" -G Ninja -DCMAKE_CXX_COMPILER="$KITH_CXX" -DCMAKE_BUILD_TYPE=Debug \
      -DCMAKE_CXX_FLAGS_DEBUG="$KITH_CXX_FLAGS" -DBUILD_SHARED_LIBS=ON -DKITH_WERROR=ON -DKITH_CCACHE=ON \
      -DFETCHCONTENT_SOURCE_DIR_KITH="$KITH_SOURCE" -DWAY=FetchContent >/dev/null
    cmake --build "$work" --target consumer
    runs "$work/consumer"
    library=$(find "$work" -name 'libkith.so.*.*.*' | head -n 1)
    readelf -d "$library" | grep -Eq 'SONAME.*\[libkith\.so\.[0-9]+\.[0-9]+\]' || { echo "no soname MAJOR.MINOR in $library" >&2; exit 1; }
    if nm -DC --defined-only "$library" | grep -E ' kith::' | grep -v ' kith::v0::' | grep .; then
      echo "$library shows the names above; only kith::v0 may be seen (cmake/exports.map)" >&2
      exit 1
    fi
    ;;
  *) echo "consume.sh: unknown way $way" >&2; exit 2 ;;
esac
