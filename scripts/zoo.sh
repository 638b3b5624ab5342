#!/usr/bin/env bash
# Usage: scripts/zoo.sh [-j N] [--out DIR] [--dry-run] GLOB... -- COMMAND [ARGUMENT...]
#
# Runs one pare command for every model that GLOB matches, several at a time, and goes on when one fails.
#
#   scripts/zoo.sh 'models/*.onnx' -- inspect
#   scripts/zoo.sh -j 4 'models/**/*.onnx' -- prune --sparsity 0.5 --data photos -o '{out}/{name}.onnx' -o '{out}/{name}.h5'
#   scripts/zoo.sh 'students/*.onnx' -- distill {} --teacher 'teachers/{name}.onnx' --data photos -o '{out}/{name}.onnx'
#
# In each ARGUMENT these stand for parts of a model's path, here of `models/small/a b.onnx`:
#   {}      models/small/a b.onnx    the path; where no argument has it, the model follows COMMAND
#   {dir}   models/small             its folder
#   {name}  a b                      its file name without extension
#   {ext}   onnx                     its extension
#   {out}                            the folder of --out
# GLOB may be quoted (then zoo.sh expands it; ** crosses folders, spaces are fine) or be the names that the shell made of it.
#
#   -j, --jobs N   models at a time (default 1; each pare then uses an N-th of the cores unless it has --threads)
#   -o, --out DIR  gets summary.json, and a log and a report for each model (default: build/zoo)
#   --dry-run      print the commands, run nothing
#
# PARE: the executable (default: build/release/pare, else the one on PATH). Exit code: 0 if every model was ok, 1 if one was not,
# 2 for a usage error, 130 or 143 when stopped; summary.json is written in each of these cases but the third.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

# Prints, one NUL-terminated word each, the arguments of pare for one model.
expand_step() {
  local model=$1 out=$2 base argument name ext=''
  shift 2
  base=$(basename -- "$model")
  name=${base%.*}
  [[ $base == *.* ]] && ext=${base##*.}
  local place_model=1
  for argument in "$@"; do
    [[ $argument != *'{}'* ]] || place_model=
  done
  local words=("$1")
  if [[ $place_model ]]; then words+=("$model"); fi
  for argument in "${@:2}"; do
    # One pass from the left, so that a brace in a model's own name is never taken for a placeholder.
    local rest=$argument word=''
    while [[ $rest =~ ^([^{]*)(\{(dir|name|ext|out)?\}|\{)(.*)$ ]]; do
      word+=${BASH_REMATCH[1]}
      case ${BASH_REMATCH[2]} in
        '{}') word+=$model ;;
        '{dir}') word+=$(dirname -- "$model") ;;
        '{name}') word+=$name ;;
        '{ext}') word+=$ext ;;
        '{out}') word+=$out ;;
        *) word+='{' ;;
      esac
      rest=${BASH_REMATCH[4]}
    done
    words+=("$word$rest")
  done
  printf '%s\0' "${words[@]}"
}

# One model; xargs starts this script again for each. The result goes to a file, so that parallel runs never mix.
run_one() {
  local pare=$1 out=$2 adds_report=$3 total=$4 steps=$5 index model began ended status=0 words label
  shift 5
  local step=("${@:1:steps}")
  index=${*:steps+1:1} model=${*:steps+2:1}
  mapfile -d '' -t words < <(expand_step "$model" "$out" "${step[@]}")
  local base=$out/runs/$index
  if [[ $adds_report == yes ]]; then words+=(--report "$base.report.json"); fi
  trap : INT TERM  # pare gets the signal as well; its end is recorded before this process ends
  began=$EPOCHREALTIME
  "$pare" "${words[@]}" >"$base.log" 2>&1 </dev/null || status=$?
  ended=$EPOCHREALTIME
  printf '%s\0' "$model" "$status" "$((${ended/[.,]/} - ${began/[.,]/}))" "${words[@]}" >"$base.done.part"
  mv -- "$base.done.part" "$base.done"
  label=ok
  if ((status)); then label="FAILED ($status)"; fi
  printf '[%d/%d] %s  %s\n' "$((10#$index))" "$total" "$label" "$model"
  if ((status)); then tail -n 1 -- "$base.log"; fi
}

if [[ ${1:-} == --run-one ]]; then
  run_one "${@:2}"
  exit
fi

jobs=1 out=$root/build/zoo dry_run='' patterns=() separated=''
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    -j | --jobs) jobs=${2-}; shift ;;
    -j*) jobs=${1#-j} ;;
    --jobs=*) jobs=${1#*=} ;;
    -o | --out) out=${2-}; shift ;;
    --out=*) out=${1#*=} ;;
    --dry-run) dry_run=1 ;;
    --) separated=1; shift; break ;;
    -*) usage_error "unknown option '$1'" ;;
    *) patterns+=("$1") ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
((${#patterns[@]})) || usage_error "no GLOB given"
[[ $separated && $# -gt 0 ]] || usage_error "no command given: zoo.sh GLOB -- COMMAND [ARGUMENT...]"
[[ $jobs =~ ^[1-9][0-9]*$ ]] || usage_error "--jobs is '$jobs', expected a number from 1"
[[ -n $out ]] || usage_error "--out needs a folder"
out=${out%/}
step=("$@")

pare=${PARE:-}
if [[ -z $pare ]]; then
  pare=$release/pare
  [[ -x $pare ]] || pare=$(command -v pare) || die "pare is not built: scripts/dev.sh build, or set PARE"
fi
[[ -x $pare ]] || usage_error "PARE=$pare is not an executable"

# --- the models ---------------------------------------------------------------------------------------------------------

shopt -s nullglob globstar
models=()
declare -A seen=()
for pattern in "${patterns[@]}"; do
  matches=("$pattern")
  if [[ ! -e $pattern ]]; then
    IFS='' # a pattern with spaces stays one pattern
    # shellcheck disable=SC2206
    matches=($pattern)
    unset IFS
  fi
  ((${#matches[@]})) || usage_error "'$pattern' matches no file"
  for match in "${matches[@]}"; do
    [[ -f $match && ! ${seen[$match]-} ]] || continue
    seen[$match]=1
    models+=("$match")
  done
done
((${#models[@]})) || usage_error "'${patterns[*]}' matches only folders"

# Two models must not write one file: a race that would show up, if at all, as a wrong result.
declare -A writer=()
for model in "${models[@]}"; do
  mapfile -d '' -t words < <(expand_step "$model" "$out" "${step[@]}")
  if [[ $dry_run ]]; then
    printf 'pare'
    printf ' %q' "${words[@]}"
    printf '\n'
  fi
  for ((i = 1; i < ${#words[@]}; i++)); do
    case ${words[i]} in
      -o | --out | --report | --log | --run-dir | --save-outputs) target=${words[i + 1]:-} ;;
      --out=* | --report=* | --log=* | --run-dir=* | --save-outputs=*) target=${words[i]#*=} ;;
      *) continue ;;
    esac
    [[ $target != - ]] || continue
    [[ -z ${writer[$target]-} || ${writer[$target]} == "$model" ]] ||
      usage_error "'${writer[$target]}' and '$model' would both write '$target'; put {dir} or {name} into it"
    writer[$target]=$model
  done
done
[[ ! $dry_run ]] || exit 0

# --- run ------------------------------------------------------------------------------------------------------------------

mkdir -p -- "$out/runs" || die "cannot make $out"
rm -f -- "$out/summary.json" "$out"/runs/*.{log,done,part} "$out"/runs/*.report.json
adds_report=no
if "$pare" "${step[0]}" --help 2>/dev/null | grep -q -e '--report'; then adds_report=yes; fi
if ((jobs > 1)) && [[ -z ${OMP_NUM_THREADS:-} ]]; then
  export OMP_NUM_THREADS=$((($(nproc) + jobs - 1) / jobs))
fi
began=$SECONDS
stopped=
# A process group of its own, so that a signal to this script reaches xargs and every pare once, whoever sent it. xargs then starts no
# more; the pipe ends when the last pare has written its checkpoint.
set -m
{
  for index in "${!models[@]}"; do
    printf '%05d\0%s\0' "$((index + 1))" "${models[index]}"
  done | xargs -0 -n 2 -P "$jobs" bash "$script" --run-one "$pare" "$out" "$adds_report" "${#models[@]}" "${#step[@]}" "${step[@]}"
} | (
  trap '' INT TERM
  cat >&2
) &
runner=$!
group=$(jobs -p)
set +m
trap 'stopped=130; kill -TERM -- "-$group" 2>/dev/null' INT
trap 'stopped=143; kill -TERM -- "-$group" 2>/dev/null' TERM
while kill -0 "$runner" 2>/dev/null; do wait "$runner" || true; done

status=0
printf '%s\0' "${models[@]}" | python3 "$root/scripts/zoo_summary.py" "$out" "$((SECONDS - began))" "${step[@]}" || status=$?
exit "${stopped:-$status}"
