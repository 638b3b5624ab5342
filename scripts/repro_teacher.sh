#!/usr/bin/env bash
# Usage: scripts/repro_teacher.sh [OUT.onnx] [--smoke]
#
# Trains a residual teacher of at most 2 MB for Fashion-MNIST with pare itself, on all 60,000 training images, and evaluates it on the
# test images. An hour on one core that has bf16 instructions. --smoke runs two steps, to see that everything is in place.
# OUT: models/fashion-resnet.onnx
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=recipe.sh
source "$root/scripts/recipe.sh"

recipe=("${teacher_recipe[@]}") gate=(--gate 'accuracy>=0.945') out=$root/models/fashion-resnet.onnx
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --smoke) recipe+=(--steps 2 --limit 256) gate=() out=$root/build/repro_teacher/smoke.onnx ;;
    -*) usage_error "unknown option '$1'" ;;
    *) out=$1 ;;
  esac
  shift
done
out=$(realpath -m -- "$out")

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
work=$root/build/repro_teacher
mkdir -p -- "$work" "$(dirname -- "$out")"
"$test_python" "$root/scripts/make_fashion_resnet.py" "$work/init.onnx" --seed 1
# The test images only measure: the last moving average of the weights is the result.
"$release/pare" distill "$work/init.onnx" --teacher none --init keep --data "$fashion_data" "${recipe[@]}" \
  --device cpu --seed 1 -o "$out" --report "$work/report.json" --force
"$release/pare" evaluate "$out" --data "$fashion_data" --split test --gate 'bytes<=2000000' "${gate[@]}" --report "$work/evaluate.json"
