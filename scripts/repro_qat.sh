#!/usr/bin/env bash
# Usage: scripts/repro_qat.sh [--seeds N] [--epochs N] [MODEL:WEIGHTS:ACTIVATIONS...]
#
# Test accuracy of quantization-aware training on Fashion-MNIST against the float model: a row a MODEL (cnn, the bundled one, or
# lenet-5) with so many bits of WEIGHTS and ACTIVATIONS, the first and last layer at 8 bits. Default: 8:8 4:4 3:3 2:4 2:2 of both. The mean
# over seeds 1..N (default 3) of the written file's accuracy, of the best epoch on 5,000 held-out training images.
# The teacher is models/fashion-resnet.onnx; its outputs are kept in build/teacher. LeNet-5 is trained first, with the same teacher.
# Finished runs are kept in build/repro_qat/ and not repeated; a changed recipe starts afresh. One thread a run, as many runs at once as
# there are cores.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=recipe.sh
source "$root/scripts/recipe.sh"

seeds=3 epochs=$qat_epochs
parse_rows 'seeds epochs' '^(cnn|lenet-5):[2348]:[2348]$' 'MODEL:WEIGHTS:ACTIVATIONS, as cnn:4:4' "$@"
((${#rows[@]})) || rows=({cnn,lenet-5}:{8:8,4:4,3:3,2:4,2:2})

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
cd -- "$root"
work=build/repro_qat
teaching=(--teacher models/fashion-resnet.onnx --teacher-cache "$teacher_cache" "${qat_teaching[@]}")
common=(--data "$fashion_data" --holdout "$holdout" --batch 128 --threads 1 --device cpu --force --quiet "${teaching[@]}")
key=$({ sha256sum <models/fashion-cnn.onnx; cat scripts/make_lenet.py; printf '%s ' "${common[@]}" "${qat_recipe[@]}" "$qat_cnn_lr" "$qat_lenet_lr" "$qat_augment" "$qat_cnn_2_augment" "$epochs"; } | sha256sum | cut -c 1-12)
out=$work/$key
mkdir -p -- "$out"

if [[ " ${rows[*]}" == *' lenet-5:'* && ! -f $work/lenet-5.onnx ]]; then
  say "LeNet-5 in float"
  "$test_python" scripts/make_lenet.py 5 "$work/lenet-5.init.onnx" --seed 1
  "$release/pare" distill "$work/lenet-5.init.onnx" --init keep "${common[@]}" --augment "$qat_augment" --epochs 40 --optimizer adamw --lr 2e-3 --weight-decay 1e-3 \
    --seed 1 -o "$work/lenet-5.part.onnx" >&2
  mv -- "$work/lenet-5.part.onnx" "$work/lenet-5.onnx"
fi
model_of() { case $1 in cnn) echo models/fashion-cnn.onnx ;; *) echo "$work/$1.onnx" ;; esac; }

# One run: MODEL WEIGHTS ACTIVATIONS SEED.
run() {
  local model activations=uint8 lr=$qat_lenet_lr augment=$qat_augment run=$out/$1-$2-$3-$4
  [[ ! -f $run.json ]] || return 0
  say "$1, ${2}-bit weights, ${3}-bit activations, seed $4"
  model=$(model_of "$1")
  (($3 == 8)) || activations=int$3
  [[ $1 != cnn ]] || lr=$qat_cnn_lr
  [[ $1:$3 != cnn:2 ]] || augment=$qat_cnn_2_augment
  "$release/pare" qat "$model" --weights "int$2" --activations "$activations" "${qat_recipe[@]}" --lr "$lr" --augment "$augment" "${common[@]}" --epochs "$epochs" --seed "$4" \
    -o "$run.onnx" -o "$run.h5" --entropy-code --report "$run.trained.json" >&2
  "$release/pare" evaluate "$run.onnx" --against "$model" --data "$fashion_data" --split test --threads 1 --report "$run.part.json" --quiet >&2
  mv -- "$run.part.json" "$run.json"
}

for_each "$seeds" run "${rows[@]//:/ }"

python3 - "$out" "$seeds" "${rows[@]}" <<'PYTHON'
import json, statistics, sys

folder, seeds, *rows = sys.argv[1:]
print(f"{'model':<8} {'bits':<5} {'accuracy':>8} {'float':>6} {'points':>6} {'min':>6} {'max':>6} {'h5 bytes':>9} {'time':>6}")
for row in rows:
    model, weights, activations = row.split(":")
    names = [f"{folder}/{model}-{weights}-{activations}-{seed}" for seed in range(1, int(seeds) + 1)]
    evaluated = [json.load(open(f"{name}.json")) for name in names]
    trained = [json.load(open(f"{name}.trained.json")) for name in names]
    accuracy = [100 * report["metrics"]["accuracy"] for report in evaluated]
    before = 100 * evaluated[0]["metrics"]["accuracy_before"]
    size = statistics.mean(file["bytes"] for report in trained for file in report["result"]["files"] if file["format"] == "hdf5")
    seconds = statistics.mean(report["cost"]["duration"] for report in trained)
    mean = statistics.mean(accuracy)
    print(f"{model:<8} W{weights}A{activations}  {mean:>8.2f} {before:>6.2f} {mean - before:>+6.2f} {min(accuracy):>6.2f} {max(accuracy):>6.2f} {size:>9.0f} {seconds:>4.0f} s")
PYTHON
