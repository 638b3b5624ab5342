#!/usr/bin/env bash
# Usage: scripts/train_fashion_cnn.sh [OUT.onnx]
#
# Makes the bundled model anew, with pare itself: writes the untrained CNN and trains it on Fashion-MNIST by
# `pare distill --teacher none`, then evaluates it on the test images. OUT: models/fashion-cnn.onnx
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=recipe.sh
source "$root/scripts/recipe.sh"

case ${1:-} in
  -h | --help) show_help ;;
  -*) usage_error "unknown option '$1'" ;;
esac
out=$(realpath -m -- "${1:-$root/models/fashion-cnn.onnx}")

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
work=$root/build/train_fashion_cnn
mkdir -p -- "$work" "$(dirname -- "$out")"
"$test_python" "$root/scripts/make_fashion_cnn.py" "$work/init.onnx" --seed "$train_seed"
"$release/pare" distill "$work/init.onnx" --teacher none --init keep --data "$fashion_data" --holdout "$holdout" "${train_recipe[@]}" \
  --device cpu --seed "$train_seed" -o "$out" --report "$work/report.json" --force
"$release/pare" evaluate "$out" --data "$fashion_data" --split test --gate 'accuracy>=0.919' --report "$work/evaluate.json"
