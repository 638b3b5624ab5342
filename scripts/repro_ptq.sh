#!/usr/bin/env bash
# Usage: scripts/repro_ptq.sh [--seeds N] [--threads N] [WEIGHTS:ACTIVATIONS:OUTER:ROUNDING...]
#
# Test accuracy of the bundled CNN on Fashion-MNIST after `pare quantize`, without training and labels: a row for so many bits of
# WEIGHTS and ACTIVATIONS, the first and last layer with OUTER bits (0: as the others), and ROUNDING nearest, gptq or adaround. Default: INT8,
# W4A8 and W4A4 as in the README. The mean over calibration seeds 1..N (default 5), each with other samples of the training images; the test
# images only measure. Finished runs are kept in build/repro_ptq/ and not repeated; a changed recipe starts afresh. One run at a time, with
# --threads threads (default 2); "time" is the whole command's.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=recipe.sh
source "$root/scripts/recipe.sh"

seeds=5 threads=2
parse_rows 'seeds threads' '^[2348]:[2348]:[02348]:(nearest|gptq|adaround)$' 'WEIGHTS:ACTIVATIONS:OUTER:ROUNDING, as 4:4:8:adaround' "$@"
((${#rows[@]})) || rows=(8:8:0:gptq {4:8,4:4}:0:adaround)

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
cd -- "$root"
work=build/repro_ptq model=models/fashion-cnn.onnx
common=(--data "$fashion_data" --limit "$ptq_samples" --threads "$threads" --device cpu --force --quiet)
key=$({ sha256sum <"$model"; printf '%s ' "${common[@]}" "${ptq_tuning[@]}"; } | sha256sum | cut -c 1-12)
out=$work/$key
mkdir -p -- "$out"

# One run: WEIGHTS ACTIVATIONS OUTER ROUNDING SEED.
run() {
  local activations=uint8 tuning=() run=$out/$1-$2-$3-$4-$5
  [[ ! -f $run.json ]] || return 0
  say "${1}-bit weights, ${2}-bit activations, outer layers $3, $4, seed $5"
  (($2 == 8)) || activations=int$2
  [[ $4 == nearest || $2 == 8 ]] || tuning=("${ptq_tuning[@]}")
  "$release/pare" quantize "$model" --weights "int$1" --activations "$activations" --outer-bits "$3" --rounding "$4" "${tuning[@]}" "${common[@]}" --seed "$5" \
    -o "$run.onnx" --report "$run.part.json" >&2
  mv -- "$run.part.json" "$run.json"
}

for row in "${rows[@]}"; do
  read -r -a arguments <<<"${row//:/ }"
  for ((seed = 1; seed <= seeds; seed++)); do run "${arguments[@]}" "$seed"; done
done

python3 - "$out" "$seeds" "${rows[@]}" <<'PYTHON'
import json, statistics, sys

folder, seeds, *rows = sys.argv[1:]
print(f"{'bits':<5} {'outer':<5} {'rounding':<9} {'accuracy':>8} {'float':>6} {'points':>6} {'min':>6} {'max':>6} {'bytes':>7} {'time':>6}")
for row in rows:
    weights, activations, outer, rounding = row.split(":")
    reports = [json.load(open(f"{folder}/{row.replace(':', '-')}-{seed}.json")) for seed in range(1, int(seeds) + 1)]
    accuracy = [100 * report["metrics"]["accuracy"] for report in reports]
    before = 100 * reports[0]["metrics"]["accuracy_before"]
    size = statistics.mean(report["result"]["files"][0]["bytes"] for report in reports)
    seconds = statistics.mean(report["cost"]["duration"] for report in reports)
    mean = statistics.mean(accuracy)
    print(f"W{weights}A{activations}  {outer if outer != '0' else '-':<5} {rounding:<9} {mean:>8.2f} {before:>6.2f} {mean - before:>+6.2f} "
          f"{min(accuracy):>6.2f} {max(accuracy):>6.2f} {size:>7.0f} {seconds:>4.0f} s")
PYTHON
