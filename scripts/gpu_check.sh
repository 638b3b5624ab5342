#!/usr/bin/env bash
# Usage: scripts/gpu_check.sh [--pack FOLDER | --carried FOLDER] [--data FOLDER] [--report FILE]
#
# Everything that only a GPU can tell, in one command of at most 8 minutes (and the time of a build): the kernel case table on the
# device, `pare doctor --gpu-test`, compute-sanitizer memcheck and racecheck over the case table, a short `pare prune --device cuda` on
# Fashion-MNIST, and the kernel benchmark. Writes one JSON (default build/gpu_check/report.json) with the card's name; exits with 1
# when a part failed.
#
#   --pack FOLDER      no GPU needed: copies what the check needs into FOLDER (executables for sm_80, 86, 90 and later, the shared
#                      libraries that a bare image lacks, model, data; at most 60 MiB), to be carried to the GPU machine together
#                      with scripts/
#   --carried FOLDER   uses such a folder; the machine needs Python with torch 2.11.0 (or PARE_TORCH_DIR), and nothing else
#   --data FOLDER      Fashion-MNIST as IDX files (default: FOLDER/data of a carried build, else the Debian package's)
#
# Without --carried it builds here, which needs what scripts/setup.sh installs, and nvcc. compute-sanitizer is run where it is
# installed; the report says so where it is not.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

pack='' carried='' data='' report=$root/build/gpu_check/report.json
while (($#)); do
  case $1 in
    -h | --help) show_help ;;
    --pack) pack=${2-}; shift ;;
    --carried) carried=${2-}; shift ;;
    --data) data=${2-}; shift ;;
    --report) report=${2-}; shift ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
  (($#)) || usage_error "an option lacks its value"
  shift
done
[[ -z $pack || -z $carried ]] || usage_error "--pack and --carried exclude each other"

programs=(pare libexec/pare/pare-engine-cuda tests/test_kernels_cuda tests/bench_kernels_cuda)

# Builds the programs for CUDA architectures.
build_for() {
  local program
  "$root/scripts/setup.sh"
  (cd -- "$root" && cmake --preset release --log-level=WARNING "-DPARE_TORCH_DIR:PATH=$torch_dir" "-DPARE_CUDA_ARCHITECTURES:STRING=$1") >&2
  build release pare test_kernels_cuda bench_kernels_cuda
  for program in "${programs[@]}"; do [[ -x $release/$program ]] || die "the build has no $program: is nvcc installed?"; done
}

# --- pack ---------------------------------------------------------------------------------------------------------------

# The libraries that the programs load, less the C and C++ run-time libraries, LibTorch and CUDA, which a GPU image has.
libraries_to_carry() {
  local program
  for program in "${programs[@]}"; do
    LD_LIBRARY_PATH=$torch_dir/lib:$(dirname -- "$torch_dir")/nvidia/cu13/lib ldd "$release/$program" 2>/dev/null | awk '$3 ~ /^\// { print $3 }'
  done | sort -u |
    grep -vE '/(torch|nvidia|cuda[^/]*)/|/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv|util|stdc\+\+|gcc_s|cuda|cudart))\.so[^/]*$'
}

pack_build() {
  local program library size
  mkdir -p -- "$pack"/{lib,data}
  for program in "${programs[@]}"; do
    mkdir -p -- "$pack/$(dirname -- "$program")"
    strip -o "$pack/$program" -- "$release/$program"
  done
  while read -r library; do cp -L -- "$library" "$pack/lib/"; done < <(libraries_to_carry)
  cp -- "$root/models/fashion-cnn.onnx" "$pack/"
  cp -- "${data:-$fashion_data}"/*-ubyte* "$pack/data/"
  size=$(du -sm --apparent-size -- "$pack" | cut -f1)
  ((size <= 60)) || die "$pack has $size MiB, expected at most 60"
  say "packed $size MiB in $pack; on the GPU machine: scripts/gpu_check.sh --carried $pack"
}

if [[ -n $pack ]]; then
  [[ ! -e $pack || -z $(ls -A -- "$pack") ]] || die "$pack exists and is not empty"
  build_for '80-real;86-real;90'
  pack_build
  exit 0
fi

# --- the machine --------------------------------------------------------------------------------------------------------

card=$(nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader 2>/dev/null | head -1) || card=''
[[ -n $card ]] || die "no GPU: nvidia-smi does not answer"
say "card: $card"
binaries=$release model=$root/models/fashion-cnn.onnx
if [[ -n $carried ]]; then
  binaries=$(realpath -m -- "$carried") model=$carried/fashion-cnn.onnx data=${data:-$carried/data}
  [[ -x $binaries/tests/test_kernels_cuda ]] || die "$carried is not a packed build; make one with --pack"
  if [[ ! -d $torch_dir ]]; then
    torch_dir=$(cd / && python3 -c 'import importlib.util, os; print(os.path.dirname(importlib.util.find_spec("torch").origin))' 2>/dev/null) ||
      die "Python has no torch; set PARE_TORCH_DIR to the folder of torch $torch_version"
  fi
  # LibTorch's folder has the libgomp that the programs were linked with; the CUDA run-time library is the wheel's or the toolkit's.
  torch_site=$(dirname -- "$torch_dir")
  export LD_LIBRARY_PATH=$binaries/lib:$torch_dir/lib:$torch_site/nvidia/cu13/lib:/usr/local/cuda/lib64
  missing=$(ldd "$binaries/tests/test_kernels_cuda" "$binaries/pare" 2>&1 | grep 'not found' || true)
  [[ -z $missing ]] || die "the carried build does not run here: ${missing//$'\n'/;}; build here instead (without --carried)"
else
  capability=${card##*, }
  build_for "${capability/./}"
fi
export PARE_TORCH_DIR=$torch_dir PARE_TEST_REQUIRE_CUDA=1
data=${data:-$fashion_data}

# --- check --------------------------------------------------------------------------------------------------------------

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
mkdir -p -- "$(dirname -- "$report")"
printf 'card\t%s\n' "$card" >"$work/parts.tsv"

# Runs a part, at most SECONDS long, and notes whether it passed and how long it took.
part() {
  local name=$1 seconds=$2 began=$SECONDS status=0 result=passed
  shift 2
  say "$name: $*"
  timeout "$seconds" "$@" >"$work/$name.log" 2>"$work/$name.errors.log" || status=$?
  case $status in
    0) ;;
    124) result="failed: longer than $seconds s" ;;
    *) result="failed: exit $status" ;;
  esac
  printf '%s\t%s\t%s\n' "$name" "$result" "$((SECONDS - began))" >>"$work/parts.tsv"
  say "$name: $result after $((SECONDS - began)) s"
  [[ $result == passed ]] || tail -n 20 -- "$work/$name.log" "$work/$name.errors.log" >&2
}

part cases 90 "$binaries/tests/test_kernels_cuda"
part doctor 60 "$binaries/pare" doctor --gpu-test --report "$work/doctor.json"
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null || true)
for tool in memcheck racecheck; do
  if [[ -n $sanitizer ]]; then
    # The million-element cases would take minutes under the tool, and reach no other code.
    part "$tool" 90 "$sanitizer" --tool "$tool" --error-exitcode 1 "$binaries/tests/test_kernels_cuda" '--test-case-exclude=*million*'
  else
    printf '%s\tnot run: no compute-sanitizer\t0\n' "$tool" >>"$work/parts.tsv"
  fi
done
part prune 100 "$binaries/pare" prune "$model" --device cuda --data "$data" --holdout 5000 --sparsity 0.8 --epochs 2 --seed 1 --no-resume \
  -o "$work/small.onnx" --report "$work/prune.json" --force
part bench 50 "$binaries/tests/bench_kernels_cuda" --size 25600000

python3 - "$work" "$report" <<'PYTHON'
import json, os, sys

work, path = sys.argv[1:3]
rows = [line.rstrip("\n").split("\t") for line in open(os.path.join(work, "parts.tsv"))]
report = {"card": rows[0][1], "parts": {name: {"result": result, "seconds": int(seconds)} for name, result, seconds in rows[1:]}}
for name, part in report["parts"].items():
    if part["result"].startswith("failed"):
        logs = [open(os.path.join(work, name + end), errors="replace").read().splitlines() for end in (".log", ".errors.log")]
        part["log"] = [line for log in logs for line in log[-20:]]
for name in "doctor", "prune":
    if os.path.exists(os.path.join(work, name + ".json")):
        report[name] = json.load(open(os.path.join(work, name + ".json")))
if report["parts"]["bench"]["result"] == "passed":
    bench = json.load(open(os.path.join(work, "bench.log")))
    copy = bench["kernels"]["copy"]
    for row in bench["kernels"].values():
        row["GB/s"] = round(row["bytes"] / row["ms"] / 1e6, 1)
        row["of_copy"] = round(row["bytes"] / row["ms"] * copy["ms"] / copy["bytes"], 3)
    report["bench"] = bench
json.dump(report, open(path, "w"), indent=1)
print(json.dumps({"card": report["card"], "parts": report["parts"]}, indent=1))
sys.exit(any(part["result"].startswith("failed") for part in report["parts"].values()))
PYTHON
