#!/usr/bin/env bash
# Usage: scripts/bench_groups.sh
#
# Times the search for channel groups in graphs of 200 to 20,000 nodes, best of three. Goal, exit 1 when it is missed: at most 1 ms per
# 100 nodes at every length.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

case ${1-} in
  '') ;;
  -h | --help) show_help ;;
  *) usage_error "unexpected argument '$1'" ;;
esac
build release bench_groups
"$release/tests/bench_groups"
