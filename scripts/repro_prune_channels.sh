#!/usr/bin/env bash
# Usage: scripts/repro_prune_channels.sh [--epochs N] [MACS...]
#
# Structured pruning without labels: channels of a real vision model (text orientation, rapidocr) go until it has the share MACS of its
# multiplications (default: 0.9 0.8 0.7 0.6 0.5), while it learns from the original on 1,000 images. A row each: MACs, cosine of
# the outputs to the original's on 300 other images, time. --epochs is 20.
# Finished runs are kept in build/prune_channels/ and not repeated; a changed recipe starts afresh. One thread a run, as many runs at once as
# there are cores.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

epochs=20
parse_rows epochs '^0\.[0-9]+$' 'share of the MACs, as 0.7' "$@"
((${#rows[@]})) || rows=(0.9 0.8 0.7 0.6 0.5)

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
packages=$("$test_python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
original=$packages/rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx
recipe=(--structure channel --importance taylor --epochs "$epochs" --batch 16 --lr 1e-3 --threads 1 --device cpu --seed 1)
key=$({ sha256sum <"$original"; cat "$root/scripts/real_samples.py"; printf '%s ' "${recipe[@]}"; } | sha256sum | cut -c 1-12)
out=$root/build/prune_channels/$key
mkdir -p -- "$out"

samples "$original" 1000 1 "$out/train.npz"
samples "$original" 300 2 "$out/fresh.npz"

# One run: MACS.
run() {
  local run=$out/$1
  [[ ! -f $run.json ]] || return 0
  say "$1 of the MACs"
  "$release/pare" prune "$original" --keep-macs "$1" --data "$out/train.npz" "${recipe[@]}" -o "$run.onnx" --report "$run.pruned.json" --force --quiet >&2
  "$release/pare" evaluate "$run.onnx" --against "$original" --data "$out/fresh.npz" --threads 1 --report "$run.part.json" --quiet >&2
  mv -- "$run.part.json" "$run.json"
}

for_each 1 run "${rows[@]}"

python3 - "$out" "${rows[@]}" <<'PYTHON'
import json, sys

folder, *rows = sys.argv[1:]
print(f"{'asked':>5} {'MACs':>6} {'parameters':>10} {'cosine':>7} {'time':>6}")
for row in rows:
    pruned, evaluated = (json.load(open(f"{folder}/{row}{kind}")) for kind in (".pruned.json", ".json"))
    before, after = pruned["model"], pruned["result"]
    print(f"{float(row):>5.0%} {after['macs'] / before['macs']:>6.1%} {after['parameters'] / before['parameters']:>10.1%}"
          f" {evaluated['metrics']['cosine']:>7.4f} {pruned['cost']['duration']:>4.0f} s")
PYTHON
