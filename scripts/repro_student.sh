#!/usr/bin/env bash
# Usage: scripts/repro_student.sh [--seeds N] [with|without]
#
# What a teacher is worth: the bundled CNN's architecture (scripts/make_fashion_cnn.py, 30,874 parameters) is trained on Fashion-MNIST from new
# weights with models/fashion-resnet.onnx as teacher, and with the same recipe without (scripts/recipe.sh). Prints the mean test accuracy
# over seeds 1..N (default 3) of the best epoch on 5,000 held-out training images.
# Finished runs are kept in build/repro_student/ and not repeated; a changed recipe starts afresh. One thread a run, as many runs at once as
# there are cores.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=recipe.sh
source "$root/scripts/recipe.sh"

seeds=3
parse_rows seeds '^(with|without)$' 'kind, with or without' "$@"
((${#rows[@]})) || rows=(with without)

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
cd -- "$root"
teacher=models/fashion-resnet.onnx
key=$({ sha256sum <"$teacher"; cat scripts/make_fashion_cnn.py; printf '%s ' "${student_recipe[@]}" "${student_teaching[@]}" "$holdout"; } | sha256sum | cut -c 1-12)
out=build/repro_student/$key
mkdir -p -- "$out"

# One run: with|without SEED.
run() {
  local kind=$1 seed=$2 run=$out/$1-$2 teaching=(--teacher none)
  [[ ! -f $run.json ]] || return 0
  say "$kind teacher, seed $seed"
  [[ $kind == without ]] || teaching=(--teacher "$teacher" --teacher-cache "$teacher_cache" "${student_teaching[@]}")
  "$test_python" scripts/make_fashion_cnn.py "$run.init.onnx" --seed "$seed"
  "$release/pare" distill "$run.init.onnx" --init keep --data "$fashion_data" --holdout "$holdout" "${student_recipe[@]}" "${teaching[@]}" \
    --threads 1 --device cpu --seed "$seed" -o "$run.onnx" --report "$run.trained.json" --force --quiet >&2
  "$release/pare" evaluate "$run.onnx" --data "$fashion_data" --split test --threads 1 --report "$run.part.json" --quiet >&2
  mv -- "$run.part.json" "$run.json"
}

for_each "$seeds" run "${rows[@]}"

python3 - "$out" "$seeds" "${rows[@]}" <<'PYTHON'
import json, statistics, sys

folder, seeds, *kinds = sys.argv[1:]
seeds = int(seeds)
means = {}
for kind in kinds:
    names = [f"{folder}/{kind}-{seed}" for seed in range(1, seeds + 1)]
    accuracy = [100 * json.load(open(f"{name}.json"))["metrics"]["accuracy"] for name in names]
    seconds = statistics.mean(json.load(open(f"{name}.trained.json"))["cost"]["duration"] for name in names)
    means[kind] = statistics.mean(accuracy)
    print(f"{kind:<7} teacher: {means[kind]:.2f} % of the test images ({', '.join(f'{one:.2f}' for one in accuracy)}), {seconds:.0f} s")
if len(means) == 2:
    print(f"difference: {means['with'] - means['without']:+.2f} points")
PYTHON
