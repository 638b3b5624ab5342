#!/usr/bin/env bash
# Usage: scripts/repro_prune_fashion.sh [--seeds N] [--epochs N] [--limit N] [MODEL:TARGET...]
#
# Test accuracy on Fashion-MNIST of pruned networks against dense references. A dense network is trained; pruning it takes as many epochs
# again, and the reference trains on for as many, with the same teacher and recipe (scripts/recipe.sh). MODEL is 300-100 or 5 (LeNet), or resnet
# (20 layers of 16, 32 and 64 channels). TARGET is 20 for a 20th of the weights, 0.5 for channels down to half of the MACs, or 2:4. Default:
# 300-100 with 20 50 100, 5 with 50 100 200, resnet with 0.5 0.25 2:4 1:4.
# A row is the mean over seeds 1..N (default 3) of the test accuracy of the best epoch on 5,000 held-out training images.
# The teacher is models/fashion-resnet.onnx (its outputs are kept in build/teacher), --epochs is 40 (LeNet) or 20, --limit (of the training
# images; all without it) is for a quick look. Finished runs are kept in build/prune_fashion/ and not repeated; a changed recipe starts afresh.
# One thread a run, as many runs at once as there are cores.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=recipe.sh
source "$root/scripts/recipe.sh"

seeds=3 epochs='' limit=0
parse_rows 'seeds epochs limit' '^((300-100|5|resnet):([1-9][0-9]*|0\.[0-9]+|[1-9][0-9]?:[1-9][0-9]?))$' 'MODEL:TARGET, as 300-100:20, resnet:0.5 or 5:2:4' "$@"
((${#rows[@]})) || rows=(300-100:{20,50,100} 5:{50,100,200} resnet:{0.5,0.25,2:4,1:4})

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
cd -- "$root"
teacher=models/fashion-resnet.onnx
common=(--data "$fashion_data" --limit "$limit" --batch 128 --teacher "$teacher" --teacher-cache "$teacher_cache" --threads 1 --device cpu --force --quiet)
((limit > 0)) || common+=(--holdout "$holdout")
prune=(--importance taylor --average 0.99 --schedule cubic)
key=$({ sha256sum <"$teacher"; cat scripts/make_lenet.py scripts/make_fashion_resnet.py
        printf '%s ' "${common[@]}" "${prune[@]}" "${lenet_300_100_recipe[@]}" "${lenet_5_recipe[@]}" "${resnet_recipe[@]}" "$epochs"; } | sha256sum | cut -c 1-12)
out=build/prune_fashion/$key
mkdir -p -- "$out"

# How MODEL is trained and pruned, into `recipe`.
recipe_of() {
  case $1 in
    300-100) recipe=("${lenet_300_100_recipe[@]}" --epochs "${epochs:-40}") ;;
    5) recipe=("${lenet_5_recipe[@]}" --epochs "${epochs:-40}") ;;
    resnet) recipe=("${resnet_recipe[@]}" --epochs "${epochs:-20}") ;;
  esac
  recipe+=("${common[@]}")
}

# What TARGET asks of pare prune, into `target`.
target_of() {
  case $1 in
    *:*) target=(--structure "$1") ;;
    0.*) target=(--structure channel --keep-macs "$1") ;;
    *) target=(--scope global --sparsity "$(awk -v factor="$1" 'BEGIN { printf "%.6f", 1 - 1 / factor }')") ;;
  esac
}

# One run: NAME COMMAND INPUT OPTION..., kept once it is finished.
train() {
  local run=$out/$1
  say "$1"
  "$release/pare" "$2" "$3" "${@:4}" -o "$run.onnx" -o "$run.h5" --report "$run.part.json" >&2
  mv -- "$run.part.json" "$run.json"
}

# The dense network of MODEL and SEED.
dense() {
  local recipe run=$out/$1-dense-$2
  [[ ! -f $run.json ]] || return 0
  case $1 in
    resnet) "$test_python" scripts/make_fashion_resnet.py "$run.init.onnx" --seed "$2" --widths 16,32,64 --blocks 3,3,3 ;;
    *) "$test_python" scripts/make_lenet.py "$1" "$run.init.onnx" --seed "$2" ;;
  esac
  recipe_of "$1"
  train "$1-dense-$2" distill "$run.init.onnx" --init keep "${recipe[@]}" --seed "$2"
}

# The same, trained on.
reference() {
  local recipe
  [[ ! -f $out/$1-reference-$2.json ]] || return 0
  recipe_of "$1"
  train "$1-reference-$2" distill "$out/$1-dense-$2.onnx" --init keep "${recipe[@]}" --seed "$2"
}

# MODEL pruned to TARGET, from the dense network.
pruned() {
  local recipe target
  [[ ! -f $out/$1-$2-$3.json ]] || return 0
  recipe_of "$1"
  target_of "$2"
  train "$1-$2-$3" prune "$out/$1-dense-$3.onnx" "${target[@]}" "${prune[@]}" "${recipe[@]}" --seed "$3"
}

mapfile -t networks < <(printf '%s\n' "${rows[@]%%:*}" | sort -u)
split=()
for row in "${rows[@]}"; do split+=("${row%%:*} ${row#*:}"); done
for_each "$seeds" dense "${networks[@]}"
for_each "$seeds" pruned "${split[@]}"
for_each "$seeds" reference "${networks[@]}"

python3 - "$out" "$seeds" "${rows[@]}" <<'PYTHON'
import json, statistics, sys

folder, seeds, *rows = sys.argv[1:]
seeds = range(1, int(seeds) + 1)


def report(*name):
    with open(f"{folder}/{'-'.join(map(str, name))}.json") as file:
        return json.load(file)


print(f"{'model':>13}  {'target':>6}  {'dense':>6}  {'pruned':>6}  {'points':>6}  {'h5 bytes':>8}  {'of onnx':>7}  {'time':>6}")
for row in rows:
    model, target = row.split(":", 1)
    dense = statistics.mean(100 * report(model, "reference", seed)["metrics"]["accuracy"] for seed in seeds)
    runs = [report(model, target, seed) for seed in seeds]
    pruned = statistics.mean(100 * run["metrics"]["accuracy"] for run in runs)
    size = statistics.mean(file["bytes"] for run in runs for file in run["result"]["files"] if file["format"] == "hdf5")
    seconds = statistics.mean(run["cost"]["duration"] for run in runs)
    print(f"{model if model == 'resnet' else 'LeNet-' + model:>13}  {target if set(target) & set('.:') else target + 'x':>6}  {dense:>6.2f}  {pruned:>6.2f}  {pruned - dense:>+6.2f}  {size:>8.0f}  {size / runs[0]['model']['bytes']:>7.1%}"
          f"  {seconds:>4.0f} s")
PYTHON
