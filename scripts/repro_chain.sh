#!/usr/bin/env bash
# Usage: scripts/repro_chain.sh [--seeds N] [SPARSITY:WEIGHTS...]
#
# Test accuracy against bytes of the whole file: the bundled CNN is pruned to SPARSITY, then trained with WEIGHTS-bit weights (its zeros stay
# zero), and written as HDF5 with entropy coding. A row each, the mean over seeds 1..N (default 3). Default: 0.5:4 0.75:4 0.86:4.
# The teacher is models/fashion-resnet.onnx; its outputs are kept in build/teacher for all scripts that have it.
# Finished runs are kept in build/repro_chain/ and not repeated; a changed recipe starts afresh. One thread a run, as many runs at once as
# there are cores.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=recipe.sh
source "$root/scripts/recipe.sh"

seeds=3
parse_rows seeds '^0\.[0-9]+:[2348]$' 'SPARSITY:WEIGHTS, as 0.86:4' "$@"
((${#rows[@]})) || rows=(0.5:4 0.75:4 0.86:4)

"$root/scripts/setup.sh"
build release pare
export PARE_TORCH_DIR=$torch_dir
cd -- "$root"
model=models/fashion-cnn.onnx
common=(--data "$fashion_data" --holdout "$holdout" --threads 1 --device cpu --force --quiet --teacher models/fashion-resnet.onnx
        --teacher-cache "$teacher_cache")
key=$({ sha256sum <"$model"; printf '%s ' "${common[@]}" "${prune_recipe[@]}" "${curve_recipe[@]}" "${chain_recipe[@]}"; } | sha256sum | cut -c 1-12)
out=build/repro_chain/$key
mkdir -p -- "$out"

# One run: SPARSITY WEIGHTS SEED.
run() {
  local run=$out/$1-$2-$3
  [[ ! -f $run.json ]] || return 0
  say "sparsity $1, then $2-bit weights, seed $3"
  "$release/pare" prune "$model" "${common[@]}" --sparsity "$1" "${prune_recipe[@]}" "${curve_recipe[@]}" --seed "$3" -o "$run.pruned.h5" \
    --report "$run.pruned.json" >&2
  "$release/pare" qat "$run.pruned.h5" "${common[@]}" --weights "int$2" "${chain_recipe[@]}" --seed "$3" -o "$run.h5" --entropy-code \
    --report "$run.trained.json" >&2
  "$release/pare" evaluate "$run.h5" --against "$model" --data "$fashion_data" --split test --threads 1 --report "$run.part.json" --quiet >&2
  mv -- "$run.part.json" "$run.json"
}

for_each "$seeds" run "${rows[@]//:/ }"

python3 - "$out" "$seeds" "${rows[@]}" <<'PYTHON'
import json, statistics, sys

folder, seeds, *rows = sys.argv[1:]
print(f"{'sparsity':>8} {'weights':>7} {'accuracy':>8} {'bundled':>7} {'points':>6} {'min':>6} {'max':>6} {'h5 bytes':>8} {'time':>6}")
for row in rows:
    sparsity, weights = row.split(":")
    names = [f"{folder}/{sparsity}-{weights}-{seed}" for seed in range(1, int(seeds) + 1)]
    read = lambda kind: [json.load(open(name + kind)) for name in names]
    evaluated, trained, pruned = read(".json"), read(".trained.json"), read(".pruned.json")
    accuracy = [100 * report["metrics"]["accuracy"] for report in evaluated]
    before = 100 * evaluated[0]["metrics"]["accuracy_before"]
    size = statistics.mean(report["result"]["files"][0]["bytes"] for report in trained)
    seconds = statistics.mean(a["cost"]["duration"] + b["cost"]["duration"] for a, b in zip(pruned, trained))
    mean = statistics.mean(accuracy)
    print(f"{float(sparsity):>8.0%} {'int' + weights:>7} {mean:>8.2f} {before:>7.2f} {mean - before:>+6.2f} {min(accuracy):>6.2f} {max(accuracy):>6.2f}"
          f" {size:>8.0f} {seconds:>4.0f} s")
PYTHON
