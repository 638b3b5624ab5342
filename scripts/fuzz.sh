#!/usr/bin/env bash
# Builds a fuzzer with clang (address and undefined-behaviour checks) and runs it: onnx reads models, starting from
# tests/fuzz/corpus; codes decodes the packed and entropy-coded elements of HDF5 files. What it finds is in build/fuzz/: crash-*, timeout-*, oom-*; new inputs are in build/fuzz/corpus*.
# A finding that was fixed goes to tests/fuzz/corpus.
#
#   scripts/fuzz.sh [SECONDS [onnx|codes]]     60 and onnx by default
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "fuzz.sh: '$seconds' is not a number of seconds" >&2; exit 2; }
fuzzer=${2:-onnx}
case $fuzzer in
  onnx) corpus=build/fuzz/corpus seeds=(tests/fuzz/corpus) ;;
  codes) corpus=build/fuzz/corpus-codes seeds=() ;;
  *) echo "fuzz.sh: unknown fuzzer '$fuzzer' (onnx or codes)" >&2; exit 2 ;;
esac
compiler=$(command -v clang++-14 || command -v clang++) || { echo "fuzz.sh: clang is not installed (scripts/setup.sh --fuzz)" >&2; exit 1; }
cmake -S . -B build/fuzz -G Ninja -DPARE_FUZZ=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER="$compiler" >build/fuzz.log 2>&1 ||
  { cat build/fuzz.log >&2; exit 1; }
nice ninja -C build/fuzz -j "${CMAKE_BUILD_PARALLEL_LEVEL:-2}" "fuzz_$fuzzer" >build/fuzz.log 2>&1 || { cat build/fuzz.log >&2; exit 1; }
mkdir -p "$corpus"
exec "build/fuzz/tests/fuzz_$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=65536 \
  -artifact_prefix=build/fuzz/ -print_final_stats=1 "$corpus" "${seeds[@]}"
