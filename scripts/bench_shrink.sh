#!/usr/bin/env bash
# Usage: scripts/bench_shrink.sh [--widths A,B,C] [--batch N] [--threads N]
#
# Channels removed without training from a residual network of 20 layers (base width 32 unless --widths says otherwise) down to 1/2 and
# 1/4 of its MACs, and residual blocks down to 1/2: how many times fewer MACs, how many times faster in ONNX Runtime (batch 16, one
# thread unless said otherwise; all models in turns, medians), and the ratio of the two. Goal: at least 0.85; exit 1 when it is missed.
#
# Widths are multiples of 16, and the layers that share channels count by their mean (--group-score mean): ONNX Runtime computes channels
# in blocks of 16 with AVX-512 (8 with AVX2), and is the faster per MAC the more blocks of outputs a convolution has, up to four.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

widths=32,64,128 batch=16 threads=1
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --widths) widths=${2-}; shift ;;
    --batch) batch=${2-}; shift ;;
    --threads) threads=${2-}; shift ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
[[ $widths =~ ^[1-9][0-9]*,[1-9][0-9]*,[1-9][0-9]*$ ]] || usage_error "--widths takes three numbers, as 32,64,128"
[[ $batch =~ ^[1-9][0-9]*$ && $threads =~ ^[1-9][0-9]*$ ]] || usage_error "--batch and --threads take numbers from 1"

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
work=$root/build/bench_shrink
mkdir -p -- "$work"
"$test_python" "$root/scripts/make_fashion_resnet.py" "$work/whole.onnx" --widths "$widths" --blocks 3,3,3
prune() { # NAME OPTIONS...
  local name=$1
  shift
  say "pruning: $name"
  "$release/pare" prune "$work/whole.onnx" --epochs 0 "$@" -o "$work/$name.onnx" --report "$work/$name.json" --force --quiet
}
channels=(--structure channel --importance magnitude --round-to 16 --min-keep 16 --group-score mean)
prune half "${channels[@]}" --keep-macs 0.5
prune quarter "${channels[@]}" --keep-macs 0.25
prune blocks --structure residual --keep-macs 0.5

"$test_python" - "$work" "$batch" "$threads" <<'PYTHON'
import json, pathlib, statistics, sys, time

import numpy
import onnxruntime

work, batch, threads = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
names = ["whole", "half", "quarter", "blocks"]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
sessions = [onnxruntime.InferenceSession(str(work / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]) for name in names]
images = {"image": numpy.random.default_rng(1).random((batch, 1, 28, 28), numpy.float32)}
times = [[] for _ in names]
for turn in range(60):
    for session, spent in zip(sessions, times):
        session.run(None, images)  # its weights are in the cache again
        start = time.perf_counter()
        session.run(None, images)
        spent.append(time.perf_counter() - start)
before, *after = [statistics.median(spent) for spent in times]
met = True
print(f"{'':<8} {'MACs':>12} {'ms':>8} {'fewer MACs':>11} {'faster':>7} {'ratio':>6}")
for name, spent in zip(names, [before, *after]):
    report = json.loads((work / f"{'half' if name == 'whole' else name}.json").read_text())
    macs, whole = report["model" if name == "whole" else "result"]["macs"], report["model"]["macs"]
    fewer, faster = whole / macs, before / spent
    print(f"{name:<8} {macs:>12,} {1e3 * spent:>8.2f} {fewer:>11.2f} {faster:>7.2f} {faster / fewer:>6.2f}")
    met = met and faster / fewer >= 0.85
sys.exit(0 if met else 1)
PYTHON
