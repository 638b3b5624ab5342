#!/usr/bin/env bash
# Usage: scripts/quickstart.sh
#
# From a fresh clone to a pruned network: installs what is missing, builds pare, prunes the bundled CNN to 80 % sparsity with
# retraining on Fashion-MNIST, checks the written HDF5 file against its gates, and prints what changed.
# Run again, it reuses everything that is installed and built. Results: build/quickstart/
#
# PARE_CACHE, PARE_TORCH_DIR: see scripts/setup.sh --help
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=recipe.sh
source "$root/scripts/recipe.sh"

sparsity=0.8
gates=(--gate 'accuracy>=0.915' --gate 'bytes<=45000')

case ${1:-} in
  '') ;;
  -h | --help) show_help ;;
  *) usage_error "unexpected argument '$1'" ;;
esac

"$root/scripts/setup.sh"
say "building pare in build/release"
build release pare

out=$root/build/quickstart
mkdir -p -- "$out"
cd -- "$root"
export PARE_TORCH_DIR=$torch_dir

run() {
  local word line='$ pare'
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./:,=+-]+$ ]] || word="'$word'"
    line+=" $word"
  done
  say "$line"
  "$release/pare" "$@"
}

run prune models/fashion-cnn.onnx --data "$fashion_data" --holdout "$holdout" --sparsity "$sparsity" "${prune_recipe[@]}" \
  "${quickstart_recipe[@]}" \
  --seed "$prune_seed" -o build/quickstart/small.onnx -o build/quickstart/small.h5 --report build/quickstart/report.json --force
status=0
run evaluate build/quickstart/small.h5 --against models/fashion-cnn.onnx --data "$fashion_data" --split test "${gates[@]}" \
  --report build/quickstart/evaluate.json || status=$?
((status == 0 || status == 4)) || exit "$status"  # 4: a gate was missed, and the table shows by how much
python3 scripts/before_after.py build/quickstart/report.json build/quickstart/evaluate.json
exit "$status"
