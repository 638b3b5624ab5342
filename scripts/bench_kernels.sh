#!/usr/bin/env bash
# Usage: scripts/bench_kernels.sh [--size N] [--threads N] [--repeats N]
#
# Times the CPU kernels (default: 25.6 million floats, 2 threads, median of 5) as GB/s and share of a copy measured in the same run,
# and the usual PyTorch 2.11 expressions on the same threads. Goals, exit 1 when one is missed: threshold >= 20x torch.kthvalue,
# 2:4 mask >= 20x topk + scatter, score with its moving average >= 4x the eager expression, each >= 60 % of the copy;
# fake quantization per channel, forward and backward: >= 8x torch's and >= 70 % of the copy.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
source "$root/scripts/peer_torch.sh"

size=25600000 threads=2 repeats=5
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --size) size=${2-}; shift ;;
    --threads) threads=${2-}; shift ;;
    --repeats) repeats=${2-}; shift ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
for number in "$size" "$threads" "$repeats"; do
  [[ $number =~ ^[1-9][0-9]*$ ]] || usage_error "'$number' is not a number from 1"
done

"$root/scripts/setup.sh" --tests
build release bench_kernels
setup_peer_torch
work=$root/build/bench_kernels
mkdir -p -- "$work"
peer_torch_python "$root/scripts/bench_kernels_torch.py" "$size" "$threads" "$repeats" >"$work/torch.json"
"$release/tests/bench_kernels" --size "$size" --threads "$threads" --repeats "$repeats" >"$work/pare.json"

"$test_python" - "$work/pare.json" "$work/torch.json" <<'PYTHON'
import json, sys

pare, torch = (json.load(open(path)) for path in sys.argv[1:3])
kernels = pare["kernels"]
goals = {"threshold": ("kthvalue", 20), "nm_mask": ("two_of_four", 20), "score": ("moving_average", 4)}
copy_rate = kernels["copy"]["bytes"] / kernels["copy"]["ms"]
ok = True
print(f"{pare['size'] / 1e6:.1f} million floats, {pare['threads']} threads, {pare['device']}; torch copies in {torch['copy']:.2f} ms")
print(f"{'kernel':<16}{'ms':>9}{'GB/s':>8}{'of copy':>9}   against torch")
for name, row in kernels.items():
    rate = row["bytes"] / row["ms"]
    line = f"{name:<16}{row['ms']:>9.2f}{rate / 1e6:>8.1f}{rate / copy_rate:>9.0%}"
    if name in goals:
        peer, wanted = goals[name]
        ratio = torch[peer] / row["ms"]
        met = ratio >= wanted and rate >= 0.6 * copy_rate
        ok = ok and met
        line += f"   {ratio:.1f}x {peer} ({torch[peer]:.1f} ms), goals {wanted}x and 60 %: {'met' if met else 'MISSED'}"
    print(line)
for name, peer in ("threshold", "sort"), ("score", "moving_average_in_place"):
    print(f"{name} against {peer} ({torch[peer]:.1f} ms): {torch[peer] / kernels[name]['ms']:.1f}x")
passes = {name: [kernels[name], kernels[name + "_backward"]] for name in ("fake_quant", "fake_quant_channel")}
for name, peer in ("fake_quant", "fake_quantize_tensor"), ("fake_quant_channel", "fake_quantize_channel"):
    ms = sum(row["ms"] for row in passes[name])
    share = sum(row["bytes"] for row in passes[name]) / ms / copy_rate
    line = f"{name} forward and backward, {ms:.1f} ms, {share:.0%} of copy: {torch[peer] / ms:.1f}x {peer} ({torch[peer]:.1f} ms)"
    if name == "fake_quant_channel":
        met = torch[peer] / ms >= 8 and share >= 0.7
        ok = ok and met
        line += f", goals 8x and 70 %: {'met' if met else 'MISSED'}"
    print(line)
sys.exit(0 if ok else 1)
PYTHON
