#!/usr/bin/env bash
# Usage: scripts/bench_start.sh [--runs N]
#
# Start time (median of N runs, default 50) and peak memory of `pare --version` and `pare inspect` on the bundled model.
# Goals: at most 20 ms and 20 MB. Exits with 1 when one is missed.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

runs=50
case ${1:-} in
  '') ;;
  -h | --help) show_help ;;
  --runs) runs=${2-} ;;
  *) usage_error "unexpected argument '$1'" ;;
esac
[[ $runs =~ ^[1-9][0-9]*$ ]] || usage_error "--runs is '$runs', expected a number from 1"

"$root/scripts/setup.sh" --tests
build release pare
python3 - "$runs" "$release/pare" "$root/models/fashion-cnn.onnx" <<'PYTHON'
import statistics, subprocess, sys, time

runs, pare, model = int(sys.argv[1]), *sys.argv[2:]
ok = True
print(f"{'':<18}{'median':>10}{'fastest':>10}{'peak memory':>14}")
for arguments in (["--version"], ["inspect", model]):
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run([pare, *arguments], stdout=subprocess.DEVNULL, check=True)
        times.append(1000 * (time.perf_counter() - began))
    # GNU time is small: a child of this Python would be charged with Python's own memory.
    measured = subprocess.run(["/usr/bin/time", "-f", "%M", pare, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    median, peak = statistics.median(times), int(measured.stderr.split()[-1]) / 1000
    ok = ok and median <= 20 and peak <= 20
    print(f"pare {arguments[0]:<13}{median:>7.1f} ms{min(times):>7.1f} ms{peak:>11.1f} MB")
sys.exit(0 if ok else 1)
PYTHON
