#!/usr/bin/env bash
# Usage: scripts/test.sh [asan]
#
# Installs what the tests need, builds everything with the release preset and runs all tests; the last line counts them.
# With `asan`: the tests of everything that does not link LibTorch, under the address and undefined-behaviour sanitizers.
#
# PARE_CACHE, PARE_TORCH_DIR: see scripts/setup.sh --help
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  '') preset=release ;;
  asan) preset=asan ;;
  -h | --help) show_help ;;
  *) usage_error "unexpected argument '$1'" ;;
esac

"$root/scripts/setup.sh" --tests
cd -- "$root"

if [[ $preset == asan ]]; then
  tests=(test_base test_formats test_commands)
  build asan "${tests[@]}"
  for name in "${tests[@]}"; do
    say "$name"
    ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 "build/asan/tests/$name" --minimal
  done
  exit
fi

build release all
log=$release/ctest.log
status=0
ctest --preset release --parallel "$(nproc)" >"$log" 2>&1 || status=$?
if ((status != 0)); then
  grep -vE '^ +Start +[0-9]+:|Test +#[0-9]+: .* Passed +[0-9.]+ sec$' "$log" || true
  say "the whole log: $log"
fi
grep 'tests passed' "$log" || die "ctest ran nothing; see $log"
exit "$status"
