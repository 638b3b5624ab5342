#!/usr/bin/env bash
# Usage: scripts/bench_decode.sh [--images N] [--rounds N]
#
# How fast samples become inputs. Seconds to open and load the 60,000 images of Fashion-MNIST (its plain files; also from .gz), and, of N made
# JPEG files of 500 x 375 (default: 100), images a second of processor time in one thread: decoded, resized to 256, cropped to 224,
# normalised; against Pillow with numpy, which torchvision's transforms come down to. The two alternate for N rounds (default: 5), and the
# median of the ratios counts. Goals, exit 1 when one is missed: 0.3 s for the plain files, 1.3 times Pillow.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

images=100 rounds=5
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --images) images=${2-}; shift ;;
    --rounds) rounds=${2-}; shift ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
[[ $images =~ ^[1-9][0-9]*$ && $rounds =~ ^[1-9][0-9]*$ ]] || usage_error "--images and --rounds take numbers from 1"

"$root/scripts/setup.sh" --tests
build release bench_decode
bench=$release/tests/bench_decode
peer=$root/scripts/bench_decode_peer.py
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

mkdir -- "$work/idx" "$work/jpeg"
for file in "$fashion_data"/train-*.gz; do gunzip -c "$file" >"$work/idx/$(basename -- "$file" .gz)"; done
"$test_python" "$peer" make "$work/jpeg" "$images"
"$bench" images "$work/jpeg" 1 >/dev/null  # brings the files into memory
for ((round = 0; round < rounds; ++round)); do
  "$bench" idx "$work/idx" >>"$work/plain"
  "$bench" idx "$fashion_data" >>"$work/gz"
  "$bench" images "$work/jpeg" 1 >>"$work/ours"
  "$test_python" "$peer" time "$work/jpeg" 1 >>"$work/theirs"
done

"$test_python" - "$work" <<'PYTHON'
import pathlib
import statistics
import sys

work = pathlib.Path(sys.argv[1])
numbers = {name: [float(line.split()[-1]) for line in (work / name).read_text().splitlines()] for name in ("plain", "gz", "ours", "theirs")}
best = {name: min(numbers[name]) for name in ("plain", "gz")}
ratio = statistics.median(ours / theirs for ours, theirs in zip(numbers["ours"], numbers["theirs"]))
print(f"60,000 IDX images   {best['plain']:6.3f} s (goal: at most 0.3), {best['gz']:.3f} s from .gz: best of the rounds")
print(f"JPEG to input, pare   {statistics.median(numbers['ours']):6.0f} images a second and core")
print(f"JPEG to input, Pillow {statistics.median(numbers['theirs']):6.0f} images a second and core")
print(f"ratio {ratio:.2f} (goal: at least 1.3)")
sys.exit(0 if best["plain"] <= 0.3 and ratio >= 1.3 else 1)
PYTHON
