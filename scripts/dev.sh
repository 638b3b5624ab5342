#!/usr/bin/env bash
# Usage: scripts/dev.sh COMMAND
#
#   format [--check]     clang-format all C++ and CUDA files in place (--check: only say which are not formatted)
#   tidy [FILE...]       clang-tidy with .clang-tidy; without FILE: the C++ files that differ from the last commit
#   build [PRESET]       configure if needed and build everything: release (default), debug, asan
#   test [NAME [PRESET]] build, then run the tests whose name matches the regular expression NAME
#   golden               rewrite tests/cli/golden/ from the help of the built pare; look at `git diff` after it
#   check                check_tree.py and shellcheck
#   help
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
cd -- "$root"

sources() {
  find src kernels formats compress commands tests \( -name '*.cpp' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 | sort -z
}

format() {
  case ${1:-} in
    '') sources | xargs -0 clang-format -i ;;
    --check)
      # --dry-run names every difference; the names of the files are enough.
      local unformatted
      unformatted=$(sources | xargs -0 clang-format --dry-run 2>&1 | sed -n 's/:[0-9]*:[0-9]*: warning: .*//p' | sort -u)
      [[ -z $unformatted ]] || { printf '%s\n' "$unformatted"; die "not formatted; run scripts/dev.sh format"; }
      ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
}

tidy() {
  local files=("$@")
  command -v clang-tidy >/dev/null || die "clang-tidy is not installed (apt-get install clang-tidy)"
  build release pare  # writes compile_commands.json
  if ((!$#)); then
    mapfile -t files < <({ git diff --name-only --diff-filter=d HEAD && git ls-files --others --exclude-standard; } | grep '\.cpp$' | sort -u)
  fi
  ((${#files[@]})) || { say "nothing differs from the last commit"; return; }
  printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build/release --quiet
}

run_tests() {
  local preset=${2:-release}
  "$root/scripts/setup.sh" --tests
  build "$preset" all
  ctest --preset "$preset" --parallel "$(nproc)" ${1:+-R "$1"}
}

# `pare` itself names its commands: the words at the start of the lines of the help's list.
golden() {
  local folder=tests/cli/golden command
  build release pare
  mkdir -p -- "$folder"
  export COLUMNS=100
  "$release/pare" --help >"$folder/pare.txt"
  for command in inspect convert doctor evaluate prune quantize qat distill; do
    if grep -qE "^ +$command " "$folder/pare.txt"; then "$release/pare" "$command" --help >"$folder/$command.txt"; fi
  done
}

command=${1:-help}
(($# == 0)) || shift
case $command in
  format) format "$@" ;;
  tidy) tidy "$@" ;;
  build) build "${1:-release}" all ;;
  test) run_tests "$@" ;;
  golden) golden ;;
  check) scripts/check_tree.py && shellcheck .ci/run scripts/*.sh ;;
  help | -h | --help) show_help ;;
  *) usage_error "unknown command '$command'" ;;
esac
