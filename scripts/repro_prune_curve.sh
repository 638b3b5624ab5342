#!/usr/bin/env bash
# Usage: scripts/repro_prune_curve.sh [--seeds N] [SPARSITY...]
#
# Test accuracy and size against sparsity: prunes the bundled CNN with the recipe of scripts/recipe.sh, evaluates the
# written .h5 on the 10,000 test images, and prints the mean over seeds 1..N (default 3) for each SPARSITY (default 0.8 0.9 0.95 0.98).
# The teacher is models/fashion-resnet.onnx; its outputs are kept in build/teacher for all scripts that have it.
# Every finished run is kept in build/prune_curve/ and not repeated; a changed recipe or model starts afresh.
# As many runs at once as there are cores, one thread each.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=recipe.sh
source "$root/scripts/recipe.sh"

seeds=3
parse_rows seeds '^0\.[0-9]+$' 'SPARSITY, as 0.95' "$@"
((${#rows[@]})) || rows=(0.8 0.9 0.95 0.98)

"$root/scripts/setup.sh"
build release pare
export PARE_TORCH_DIR=$torch_dir
cd -- "$root"
model=models/fashion-cnn.onnx
key=$({ sha256sum <"$model"; printf '%s ' "${prune_recipe[@]}" "${curve_recipe[@]}" "$holdout"; } | sha256sum | cut -c 1-12)
out=build/prune_curve/$key
mkdir -p -- "$out"

# One run: SPARSITY SEED. The thread count is fixed, because the bytes of a result depend on it.
run() {
  local sparsity=$1 seed=$2 run=$out/$1-$2
  [[ ! -f $run.evaluated.json ]] || return 0
  say "sparsity $sparsity, seed $seed"
  "$release/pare" prune "$model" --data "$fashion_data" --holdout "$holdout" --sparsity "$sparsity" "${prune_recipe[@]}" \
    "${curve_recipe[@]}" --teacher-cache "$teacher_cache" --seed "$seed" --threads 1 -o "$run.onnx" -o "$run.h5" --report "$run.pruned.json" --force --quiet >&2
  "$release/pare" evaluate "$run.h5" --against "$model" --data "$fashion_data" --split test --threads 1 --report "$run.part.json" --quiet >&2
  mv -- "$run.part.json" "$run.evaluated.json"
}

for_each "$seeds" run "${rows[@]}"

python3 - "$out" "$seeds" "${rows[@]}" <<'PYTHON'
import json, statistics, sys

folder, seeds, *sparsities = sys.argv[1:]
print(f"{'sparsity':>8}  {'accuracy':>8}  {'bundled':>8}  {'points':>6}  {'min':>6}  {'max':>6}  {'h5 bytes':>8}  {'of onnx':>7}  {'time':>6}")
for sparsity in sparsities:
    runs = []
    for seed in range(1, int(seeds) + 1):
        name = f"{folder}/{sparsity}-{seed}"
        with open(f"{name}.evaluated.json") as evaluated, open(f"{name}.pruned.json") as pruned:
            runs.append((json.load(evaluated), json.load(pruned)))
    accuracy = [100 * evaluated["metrics"]["accuracy"] for evaluated, _ in runs]
    before = 100 * runs[0][0]["metrics"]["accuracy_before"]
    size = statistics.mean(file["bytes"] for _, pruned in runs for file in pruned["result"]["files"] if file["format"] == "hdf5")
    seconds = statistics.mean(pruned["cost"]["duration"] for _, pruned in runs)
    mean = statistics.mean(accuracy)
    print(f"{float(sparsity):>8.0%}  {mean:>8.2f}  {before:>8.2f}  {mean - before:>+6.2f}  {min(accuracy):>6.2f}  {max(accuracy):>6.2f}"
          f"  {size:>8.0f}  {size / runs[0][1]['model']['bytes']:>7.1%}  {seconds:>4.0f} s")
PYTHON
