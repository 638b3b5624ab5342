#!/usr/bin/env bash
# Usage: scripts/bench_teacher_cache.sh [--epochs N] [--threads N]
#
# Seconds of a distillation epoch (mean over N, default 2, after a first one) of the bundled CNN's architecture on Fashion-MNIST: with a live
# teacher, with `--teacher-cache` while it fills, with one that holds everything, and without teacher. A row a teacher: one of the
# student's size (the bundled CNN), one of three times its cost, and models/fashion-resnet.onnx.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

epochs=2 threads=2
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
work=$root/build/bench_teacher_cache
rm -rf -- "$work"
mkdir -p -- "$work"
"$test_python" "$root/scripts/make_fashion_cnn.py" "$work/student.onnx"
"$test_python" "$root/scripts/make_fashion_resnet.py" "$work/thrice.onnx" --widths 16,28,48 --blocks 1,1,1

# distill NAME OPTION...: two trainings that differ by the epochs that count; COUNT in an option is their number.
distill() {
  local name=$1 count
  shift
  for count in 1 "$((epochs + 1))"; do
    say "$name, $count epochs"
    "$release/pare" distill "$work/student.onnx" --init keep --data "$fashion_data" --epochs "$count" --batch 128 --augment flip,shift:2 --lr 1e-3 --device cpu \
      --threads "$threads" --precision fp32 --seed 1 -o "$work/trained.onnx" --report "$work/$name.$count.json" --force --quiet "${@//COUNT/$count}" >&2
  done
}

distill alone --teacher none
teachers=(same "$root/models/fashion-cnn.onnx" thrice "$work/thrice.onnx" resnet "$root/models/fashion-resnet.onnx")
for ((i = 0; i < ${#teachers[@]}; i += 2)); do
  name=${teachers[i]} teacher=${teachers[i + 1]}
  "$release/pare" inspect "$teacher" --report "$work/$name.inspect.json" --quiet >&2
  distill "$name.live" --teacher "$teacher"
  distill "$name.cold" --teacher "$teacher" --teacher-cache "$work/$name.cache/COUNT"
  distill "$name.warm" --teacher "$teacher" --teacher-cache "$work/$name.cache/COUNT"
done
"$release/pare" inspect "$work/student.onnx" --report "$work/student.inspect.json" --quiet >&2

python3 - "$work" "$epochs" <<'PYTHON'
import json, os, sys

work, epochs = sys.argv[1], int(sys.argv[2])
read = lambda name: json.load(open(f"{work}/{name}.json"))
seconds = lambda name: (read(f"{name}.{epochs + 1}")["cost"]["duration"] - read(f"{name}.1")["cost"]["duration"]) / epochs
macs = lambda name: read(f"{name}.inspect")["model"]["macs"]
print(f"without teacher: {seconds('alone'):.2f} s an epoch")
print(f"{'teacher':<8} {'its cost':>8} {'live':>8} {'filling':>8} {'cached':>8} {'faster':>7} {'bytes a sample':>15}")
for name in ("same", "thrice", "resnet"):
    size = sum(os.path.getsize(os.path.join(folder, file)) for folder, _, files in os.walk(f"{work}/{name}.cache") for file in files)
    live, cold, warm = (seconds(f"{name}.{kind}") for kind in ("live", "cold", "warm"))
    print(f"{name:<8} {macs(name) / macs('student'):>7.1f}x {live:>6.2f} s {cold:>6.2f} s {warm:>6.2f} s {live / warm:>6.2f}x {size / (60000 * (epochs + 2)):>15.1f}")
PYTHON
