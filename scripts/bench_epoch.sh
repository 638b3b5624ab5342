#!/usr/bin/env bash
# Usage: scripts/bench_epoch.sh [--epochs N] [--threads N]
#
# Time of a training epoch of the bundled CNN: `pare distill --teacher none` against PyTorch 2.11 eager with the whole data set in memory.
# Same batch, threads and fused AdamW; PyTorch runs contiguous and channels_last, and its faster layout counts. Prints the ratio
# (over N epochs, default 3, after a first one that warms up).
#
# PyTorch is the wheel of the cache; what its Python part needs beyond the C++ library goes into PARE_CACHE/peer-torch.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
source "$root/scripts/peer_torch.sh"

epochs=3 threads=2
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --epochs) epochs=${2-}; shift ;;
    --threads) threads=${2-}; shift ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
[[ $epochs =~ ^[1-9][0-9]*$ && $threads =~ ^[1-9][0-9]*$ ]] || usage_error "--epochs and --threads take numbers from 1"

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
work=$root/build/bench_epoch
mkdir -p -- "$work"

# --- PyTorch ------------------------------------------------------------------------------------------------------------

setup_peer_torch
say "PyTorch: $((epochs + 1)) epochs in each layout"
peer_torch_python "$root/scripts/bench_epoch_torch.py" --data "$fashion_data" --epochs "$epochs" --threads "$threads" >"$work/torch.json"

# --- pare ---------------------------------------------------------------------------------------------------------------

# Two runs that differ by N epochs: the difference leaves out loading, writing and the first epoch's warming up.
"$test_python" "$root/scripts/make_fashion_cnn.py" "$work/init.onnx"
for count in 1 "$((epochs + 1))"; do
  say "pare: $count epochs"
  "$release/pare" distill "$work/init.onnx" --teacher none --init keep --data "$fashion_data" --epochs "$count" --batch 128 \
    --optimizer adamw --lr 1e-3 --device cpu --threads "$threads" --precision fp32 --seed 1 -o "$work/trained.onnx" \
    --report "$work/pare-$count.json" --force >&2
done

python3 - "$work/torch.json" "$work/pare-1.json" "$work/pare-$((epochs + 1)).json" "$epochs" <<'PYTHON'
import json, statistics, sys

torch, short, long = (json.load(open(path)) for path in sys.argv[1:4])
best = min(torch, key=lambda layout: statistics.median(torch[layout]))
theirs = statistics.median(torch[best])
ours = (long["cost"]["duration"] - short["cost"]["duration"]) / int(sys.argv[4])
for layout in torch:
    print(f"PyTorch eager, {layout:<14} {statistics.median(torch[layout]):6.2f} s an epoch")
print(f"pare                          {ours:6.2f} s an epoch")
print(f"ratio {ours / theirs:.3f} (goal: at most 1.05)")
PYTHON
