#!/usr/bin/env bash
# Usage: scripts/repro_prune_lenet.sh [--seeds N] [--epochs N] [--limit N] [MODEL:FACTOR...]
#
# Test accuracy of LeNet-300-100 and LeNet-5 with 1/FACTOR of their weights on Fashion-MNIST, against dense references. A dense network is
# trained; pruning it takes as many epochs again, and the reference trains on for as many, with the same teacher and recipe. A row a MODEL:FACTOR (default 300-100:20 300-100:50 300-100:100 5:50 5:100 5:200):
# the mean over seeds 1..N (default 3) of the test accuracy of the best epoch on 5,000 held-out training images.
# The teacher is models/fashion-resnet.onnx (its outputs are kept in build/teacher), --epochs is 40, --limit (of the training images; all without it) is for a quick look.
# Finished runs are kept in build/prune_lenet/ and not repeated; a changed recipe starts afresh. One thread a run, as many runs at
# once as there are cores.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=recipe.sh
source "$root/scripts/recipe.sh"

seeds=3 epochs=40 limit=0
parse_rows 'seeds epochs limit' '^(300-100|5):[1-9][0-9]*$' 'MODEL:FACTOR, as 300-100:20 or 5:100' "$@"
((${#rows[@]})) || rows=(300-100:20 300-100:50 300-100:100 5:50 5:100 5:200)

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
cd -- "$root"
teacher=models/fashion-resnet.onnx
common=(--data "$fashion_data" --limit "$limit" --epochs "$epochs" --batch 128 "${lenet_recipe[@]}"
        --teacher "$teacher" --teacher-cache "$teacher_cache" --threads 1 --device cpu --force --quiet)
((limit > 0)) || common+=(--holdout "$holdout")
prune=(--importance taylor --average 0.99 --scope global --schedule cubic)
key=$({ sha256sum <"$teacher"; cat scripts/make_lenet.py; printf '%s ' "${common[@]}" "${prune[@]}"; } | sha256sum | cut -c 1-12)
out=build/prune_lenet/$key
mkdir -p -- "$out"

# The dense network of MODEL and SEED: $out/MODEL-dense-SEED.onnx.
dense() {
  local model=$1 seed=$2 run=$out/$1-dense-$2
  [[ ! -f $run.json ]] || return 0
  say "LeNet-$model, dense, seed $seed"
  "$test_python" scripts/make_lenet.py "$model" "$run.init.onnx" --seed "$seed"
  "$release/pare" distill "$run.init.onnx" --init keep "${common[@]}" --seed "$seed" -o "$run.onnx" \
    --report "$run.part.json" >&2
  mv -- "$run.part.json" "$run.json"
}

# The same, trained on.
reference() {
  local model=$1 seed=$2 run=$out/$1-reference-$2
  [[ ! -f $run.json ]] || return 0
  say "LeNet-$model, reference, seed $seed"
  "$release/pare" distill "$out/$model-dense-$seed.onnx" --init keep "${common[@]}" --seed "$seed" -o "$run.onnx" --report "$run.part.json" >&2
  mv -- "$run.part.json" "$run.json"
}

# MODEL with 1/FACTOR of its weights, from the dense network.
pruned() {
  local model=$1 factor=$2 seed=$3 run=$out/$1-$2-$3 sparsity
  [[ ! -f $run.json ]] || return 0
  say "LeNet-$model, ${factor}x, seed $seed"
  sparsity=$(awk -v factor="$factor" 'BEGIN { printf "%.6f", 1 - 1 / factor }')
  "$release/pare" prune "$out/$model-dense-$seed.onnx" --sparsity "$sparsity" "${prune[@]}" "${common[@]}" \
    --seed "$seed" -o "$run.onnx" -o "$run.h5" --report "$run.part.json" >&2
  mv -- "$run.part.json" "$run.json"
}

mapfile -t networks < <(printf '%s\n' "${rows[@]%:*}" | sort -u)
for_each "$seeds" dense "${networks[@]}"
for_each "$seeds" reference "${networks[@]}"
for_each "$seeds" pruned "${rows[@]//:/ }"

python3 - "$out" "$seeds" "${rows[@]}" <<'PYTHON'
import json, statistics, sys

folder, seeds, *rows = sys.argv[1:]
seeds = range(1, int(seeds) + 1)


def report(*name):
    with open(f"{folder}/{'-'.join(map(str, name))}.json") as file:
        return json.load(file)


print(f"{'model':>13}  {'factor':>6}  {'dense':>6}  {'pruned':>6}  {'points':>6}  {'h5 bytes':>8}  {'of onnx':>7}  {'time':>6}")
for row in rows:
    model, factor = row.split(":")
    dense = statistics.mean(100 * report(model, "reference", seed)["metrics"]["accuracy"] for seed in seeds)
    runs = [report(model, factor, seed) for seed in seeds]
    pruned = statistics.mean(100 * run["metrics"]["accuracy"] for run in runs)
    size = statistics.mean(file["bytes"] for run in runs for file in run["result"]["files"] if file["format"] == "hdf5")
    seconds = statistics.mean(run["cost"]["duration"] for run in runs)
    print(f"{'LeNet-' + model:>13}  {factor + 'x':>6}  {dense:>6.2f}  {pruned:>6.2f}  {pruned - dense:>+6.2f}  {size:>8.0f}  {size / runs[0]['model']['bytes']:>7.1%}"
          f"  {seconds:>4.0f} s")
PYTHON
