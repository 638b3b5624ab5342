#!/usr/bin/env bash
# Usage: scripts/bench_groups.sh [--alone]
#
# Times the search for channel groups in graphs of 200 to 20,000 nodes, best of five. Goal, exit 1 when it is missed: at most 1 ms per
# 100 nodes at every length. Unless --alone: against Torch-Pruning 1.6.1 (DependencyGraph and its groups, on the same residual blocks as
# PyTorch modules, 200 and 2,000 nodes), goal at least 100 times faster. What that needs goes into PARE_CACHE/peer-torch and
# PARE_CACHE/peer-pruning.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
source "$root/scripts/peer_torch.sh"

alone=''
case ${1-} in
  '') ;;
  -h | --help) show_help ;;
  --alone) alone=1 ;;
  *) usage_error "unexpected argument '$1'" ;;
esac
build release bench_groups
if [[ $alone ]]; then
  "$release/tests/bench_groups"
  exit
fi
"$root/scripts/setup.sh" --tests
setup_peer_torch
peer=$cache/peer-pruning
if [[ ! -d $peer/torch_pruning ]]; then
  say "installing Torch-Pruning into $peer"
  "$test_python" -m pip install -q --disable-pip-version-check --no-cache-dir --no-deps --no-compile --target "$peer" torch-pruning==1.6.1
fi
table=$(mktemp)
trap 'rm -f -- "$table"' EXIT
met=0
"$release/tests/bench_groups" | tee "$table" || met=1
peer_torch_python -c 'import runpy, sys; sys.path.insert(0, sys.argv[1]); sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name="__main__")' \
  "$peer" "$root/scripts/bench_groups_peer.py" "$table" 200 2000 || met=1
exit "$met"
