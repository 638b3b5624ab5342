#!/usr/bin/env bash
# Usage: scripts/check_ptxas.sh [ARCHITECTURE...]
#
# Compiles every kernels/*.cu for the given CUDA architectures (default: 80 90; releases: 75 80 86 90 100) and exits with 1 on a
# warning, a register spill or a stack frame. Needs nvcc (set NVCC, or have it in the PATH), no GPU.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  '') set -- 80 90 ;;
  -h | --help) show_help ;;
esac
targets=()
for architecture in "$@"; do
  [[ $architecture =~ ^[0-9]+$ ]] || usage_error "the architecture is '$architecture', expected a number such as 90"
  targets+=(-gencode "arch=compute_$architecture,code=sm_$architecture")
done
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[[ -x $nvcc ]] || die "no nvcc (set NVCC)"

out=$(mktemp -d)
trap 'rm -rf -- "$out"' EXIT
status=0
cd -- "$root"
for source in kernels/*.cu; do
  if ! "$nvcc" -std=c++20 -O3 --fmad=false -I. "${targets[@]}" -Xptxas -v -Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Werror \
    -c -o "$out/object" "$source" >"$out/log" 2>&1; then
    cat "$out/log" >&2
    status=1
    continue
  fi
  frames=$(grep -c 'stack frame' "$out/log" || true)  # one line for each kernel and architecture
  bad=$(grep 'stack frame' "$out/log" | grep -cvE '^ *0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads' || true)
  registers=$(grep -oE 'Used [0-9]+ registers' "$out/log" | grep -oE '[0-9]+' | sort -n | tail -1)
  printf '%-24s %3d compiled kernels, at most %3d registers, %d with spills or a stack frame\n' "$source" "$frames" "$registers" "$bad"
  ((frames > 0)) || die "$source: nvcc printed no kernel"
  if ((bad > 0)); then
    c++filt <"$out/log" >&2
    status=1
  fi
done
exit $status
