#!/usr/bin/env bash
# Builds the fuzzer of the ONNX reader with clang (address and undefined-behaviour checks) and runs it, starting from
# tests/fuzz/corpus. What it finds is in build/fuzz/: crash-*, timeout-*, oom-*; new inputs are in build/fuzz/corpus.
# A finding that was fixed goes to tests/fuzz/corpus.
#
#   scripts/fuzz.sh [SECONDS]     60 by default
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "fuzz.sh: '$seconds' is not a number of seconds" >&2; exit 2; }
compiler=$(command -v clang++-14 || command -v clang++) || { echo "fuzz.sh: clang is not installed (scripts/setup.sh --fuzz)" >&2; exit 1; }
cmake -S . -B build/fuzz -G Ninja -DPARE_FUZZ=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER="$compiler" >build/fuzz.log 2>&1 ||
  { cat build/fuzz.log >&2; exit 1; }
nice ninja -C build/fuzz -j "${CMAKE_BUILD_PARALLEL_LEVEL:-2}" fuzz_onnx >build/fuzz.log 2>&1 || { cat build/fuzz.log >&2; exit 1; }
mkdir -p build/fuzz/corpus
exec build/fuzz/tests/fuzz_onnx -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=65536 \
  -artifact_prefix=build/fuzz/ -print_final_stats=1 build/fuzz/corpus tests/fuzz/corpus
