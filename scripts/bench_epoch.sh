#!/usr/bin/env bash
# Usage: scripts/bench_epoch.sh [--epochs N] [--threads N] [NETWORK...]
#
# Training on Fashion-MNIST by `pare distill --teacher none` against PyTorch 2.11 eager with the whole data set in memory: same
# batch, threads and fused AdamW; PyTorch runs contiguous and channels_last, and its faster layout counts. A row a NETWORK (default:
# cnn lenet-300-100 lenet-5): seconds an epoch (over N epochs, default 3, after a first one that warms up) and the share of pare's time in
# which steps waited for data. Then the memory that a batch of 512 takes of the CNN, beyond a batch of 1.
#
# PyTorch is the wheel of the cache; what its Python part needs beyond the C++ library goes into PARE_CACHE/peer-torch.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
source "$root/scripts/peer_torch.sh"

epochs=3 threads=2 networks=()
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --epochs) epochs=${2-}; shift ;;
    --threads) threads=${2-}; shift ;;
    cnn | lenet-300-100 | lenet-5) networks+=("$1") ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
[[ $epochs =~ ^[1-9][0-9]*$ && $threads =~ ^[1-9][0-9]*$ ]] || usage_error "--epochs and --threads take numbers from 1"
((${#networks[@]})) || networks=(cnn lenet-300-100 lenet-5)

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
work=$root/build/bench_epoch
rm -rf -- "$work"
mkdir -p -- "$work"
setup_peer_torch

theirs() { peer_torch_python "$root/scripts/bench_epoch_torch.py" --data "$fashion_data" --threads "$threads" "$@"; }

# ours NETWORK REPORT OPTION...
ours() {
  local network=$1 report=$2
  shift 2
  "$release/pare" distill "$work/$network.onnx" --teacher none --init keep --data "$fashion_data" --optimizer adamw --lr 1e-3 --device cpu \
    --threads "$threads" --precision fp32 --seed 1 -o "$work/trained.onnx" --report "$report" --force --quiet "$@" >&2
}

for network in "${networks[@]}"; do
  say "$network: $((epochs + 1)) epochs in each layout of PyTorch"
  theirs --network "$network" --epochs "$epochs" >"$work/$network.torch.json"
  case $network in
    cnn) "$test_python" "$root/scripts/make_fashion_cnn.py" "$work/$network.onnx" ;;
    *) "$test_python" "$root/scripts/make_lenet.py" "${network#lenet-}" "$work/$network.onnx" ;;
  esac
  # Two runs that differ by N epochs: the difference leaves out loading, writing and the first epoch's warming up.
  for count in 1 "$((epochs + 1))"; do
    say "$network: pare, $count epochs"
    ours "$network" "$work/$network.$count.json" --batch 128 --epochs "$count" --run-dir "$work/$network.$count.run"
  done
done

say "memory of a batch"
[[ -f $work/cnn.onnx ]] || "$test_python" "$root/scripts/make_fashion_cnn.py" "$work/cnn.onnx"
for batch in 1 512; do
  theirs --memory --batch "$batch" >"$work/memory.$batch.torch.json"
  ours cnn "$work/memory.$batch.json" --batch "$batch" --steps 10
done

python3 - "$work" "$epochs" "${networks[@]}" <<'PYTHON'
import json, statistics, sys

work, epochs, *networks = sys.argv[1:]
read = lambda name: json.load(open(f"{work}/{name}"))
print(f"{'network':<14} {'pare':>8} {'PyTorch':>8} {'its layout':>13} {'speed':>6} {'waiting':>8}")
for network in networks:
    torch = {layout: statistics.median(times) for layout, times in read(f"{network}.torch.json").items()}
    layout = min(torch, key=torch.get)
    longer = f"{network}.{int(epochs) + 1}"
    seconds = (read(f"{longer}.json")["cost"]["duration"] - read(f"{network}.1.json")["cost"]["duration"]) / int(epochs)
    rows = [json.loads(line) for line in open(f"{work}/{longer}.run/log.jsonl")]
    waiting = statistics.mean(row["waiting"] for row in rows if "waiting" in row)
    print(f"{network:<14} {seconds:>6.2f} s {torch[layout]:>6.2f} s {layout:>13} {torch[layout] / seconds:>6.2f} {waiting:>8.2%}")
theirs = read("memory.512.torch.json") - read("memory.1.torch.json")
ours = read("memory.512.json")["cost"]["peak_rss"] - read("memory.1.json")["cost"]["peak_rss"]
print(f"a batch of 512 of the CNN: {ours / 1e6:.0f} MB, PyTorch {theirs / 1e6:.0f} MB, ratio {ours / theirs:.2f}")
PYTHON
