#!/usr/bin/env bash
# Usage: scripts/bench_qat.sh [--steps N] [--threads N]
#
# A training step of the bundled CNN on Fashion-MNIST with fake quantization (4-bit weights per channel and activations, learned steps)
# against the same step in float, both of pare (`qat` and `distill`), and the same two of PyTorch 2.11 eager with its own fake quantization
# (prepare_qat). Milliseconds a step of 128 images in fp32, and the ratio; pare's is of pairs of runs that differ by N steps (default 200),
# the median of five pairs that take turns. Exit 1 if pare's ratio is above 1.3 or above PyTorch's.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
source "$root/scripts/peer_torch.sh"

steps=200 threads=2
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --steps) steps=${2-}; shift ;;
    --threads) threads=${2-}; shift ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
[[ $steps =~ ^[1-9][0-9]*$ && $threads =~ ^[1-9][0-9]*$ ]] || usage_error "--steps and --threads take numbers from 1"

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
work=$root/build/bench_qat
rm -rf -- "$work"
mkdir -p -- "$work"
setup_peer_torch

# ours KIND STEPS REPORT
ours() {
  local options=(distill --init keep)
  [[ $1 == float ]] || options=(qat --weights int4 --activations int4)
  "$release/pare" "${options[0]}" "$root/models/fashion-cnn.onnx" "${options[@]:1}" --teacher none --data "$fashion_data" --optimizer adamw \
    --lr 1e-4 --batch 128 --device cpu --threads "$threads" --precision fp32 --seed 1 --steps "$2" -o "$work/trained.onnx" --report "$3" \
    --force --quiet >&2
}

say "PyTorch"
peer_torch_python "$root/scripts/bench_qat_torch.py" --data "$fashion_data" --threads "$threads" --steps "$steps" >"$work/torch.json"
for turn in 1 2 3 4 5; do
  say "pare, turn $turn of 5"
  for kind in float qat; do
    for count in 10 "$((steps + 10))"; do ours "$kind" "$count" "$work/$kind.$count.$turn.json"; done
  done
done

python3 - "$work" "$steps" <<'PYTHON'
import json, statistics, sys

work, steps = sys.argv[1], int(sys.argv[2])
duration = lambda kind, count, turn: json.load(open(f"{work}/{kind}.{count}.{turn}.json"))["cost"]["duration"]
ours = {kind: [(duration(kind, steps + 10, turn) - duration(kind, 10, turn)) / steps for turn in range(1, 6)] for kind in ("float", "qat")}
theirs = json.load(open(f"{work}/torch.json"))
ratio = statistics.median(qat / plain for qat, plain in zip(ours["qat"], ours["float"]))
print(f"{'':<8} {'float':>9} {'fake quantization':>18} {'ratio':>6}")
print(f"{'pare':<8} {1e3 * statistics.median(ours['float']):>6.2f} ms {1e3 * statistics.median(ours['qat']):>15.2f} ms {ratio:>6.2f}")
print(f"{'PyTorch':<8} {1e3 * theirs['float']:>6.2f} ms {1e3 * theirs['qat']:>15.2f} ms {theirs['qat'] / theirs['float']:>6.2f}")
sys.exit(0 if ratio <= 1.3 and ratio <= theirs["qat"] / theirs["float"] else 1)
PYTHON
