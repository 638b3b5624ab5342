# shellcheck shell=bash
# Sourced by the scripts of this folder: where things are, and errors of one line.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
me=$(basename -- "$0")
script=$(realpath -- "$0")
cache=$(realpath -m -- "${PARE_CACHE:-${HOME:?set HOME or PARE_CACHE}/.cache/pare}")
torch_version=2.11.0
torch_dir=${PARE_TORCH_DIR:-$cache/torch-$torch_version/torch}
test_python=$cache/python/bin/python3
fashion_data=/usr/share/datasets/fashion-mnist
release=$root/build/release
: "$torch_dir" "$test_python" "$fashion_data" "$release"  # used by the scripts that source this file

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$me: $*"
  exit 1
}

usage_error() {
  say "$me: $*; see $me --help"
  exit 2
}

# Prints the comment block at the top of the running script: the help lives beside the code that it describes.
show_help() {
  awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$script"
  exit 0
}

# Configures (when needed) and builds targets of a preset; `pare` brings its engines. Where nobody watches, only warnings are printed.
build() {
  local preset=$1 quiet=() settings=("-DPARE_TORCH_DIR:PATH=$torch_dir" "-DPARE_TEST_PYTHON:FILEPATH=$test_python") setting stale=''
  shift
  [[ -t 2 ]] || quiet=(-- --quiet)
  for setting in "${settings[@]}"; do
    grep -qxF -- "${setting#-D}" "$root/build/$preset/CMakeCache.txt" 2>/dev/null || stale=1
  done
  if [[ $stale || ! -f $root/build/$preset/build.ninja ]]; then
    (cd -- "$root" && cmake --preset "$preset" --log-level=WARNING "${settings[@]}") >&2
  fi
  (cd -- "$root" && cmake --build --preset "$preset" --target "$@" "${quiet[@]}") >&2
}

# samples MODEL COUNT SEED OUT.npz: samples such as the model sees in use (real_samples.py), whole or not at all; not made again.
samples() {
  [[ ! -f $4 ]] || return 0
  "$test_python" "$root/scripts/real_samples.py" "$1" "$2" "$3" "${4%.npz}.part.npz"
  mv -- "${4%.npz}.part.npz" "$4"
}

# parse_rows "OPTION..." PATTERN EXAMPLE ARGUMENT...: `--OPTION N`, a number from 1, into the variable of that name, what else there is into the
# array `rows`, each of which matches the regular expression PATTERN.
parse_rows() {
  local options=" $1 " pattern=$2 example=$3 row
  shift 3
  rows=()
  while (($#)); do
    case $1 in
      -h | --help) show_help ;;
      -*)
        [[ $options == *" ${1#--} "* ]] || usage_error "unknown option '$1'"
        [[ ${2-} =~ ^[1-9][0-9]*$ ]] || usage_error "$1 is '${2-}', expected a number from 1"
        printf -v "${1#--}" %s "$2"
        shift ;;
      *) rows+=("$1") ;;
    esac
    shift
  done
  for row in "${rows[@]}"; do [[ $row =~ $pattern ]] || usage_error "'$row' is no $example"; done
}

# for_each SEEDS FUNCTION ROW...: runs FUNCTION ROW SEED for every row and every seed 1..SEEDS, as many at once as there are cores; a row's spaces
# separate arguments. Dies when a run failed, after the others.
for_each() {
  local seeds=$1 function=$2 row seed failed=0 arguments
  shift 2
  for row in "$@"; do
    read -r -a arguments <<<"$row"
    for ((seed = 1; seed <= seeds; seed++)); do
      while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n || failed=1; done
      "$function" "${arguments[@]}" "$seed" &
    done
  done
  while (($(jobs -p | wc -l) > 0)); do wait -n || failed=1; done
  ((failed == 0)) || die "a run failed"
}
