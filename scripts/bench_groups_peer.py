"""Torch-Pruning's DependencyGraph on the residual networks of tests/bench/bench_groups.cpp; used by bench_groups.sh.

Usage: bench_groups_peer.py TABLE NODES...    (TABLE: what bench_groups printed)

For each length: seconds to build the dependency graph and to list all groups, best of five, on one thread, beside pare's.
"""
import sys
import time

import torch
import torch_pruning
from torch import nn

WIDTH = 256
NODES_A_BLOCK = 7
GOAL = 100


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(WIDTH, WIDTH, 1), nn.BatchNorm2d(WIDTH)
        self.second, self.second_norm = nn.Conv2d(WIDTH, WIDTH, 1), nn.BatchNorm2d(WIDTH)

    def forward(self, x):
        return torch.relu(x + self.second_norm(self.second(torch.relu(self.first_norm(self.first(x))))))


def milliseconds(nodes):
    blocks = [Block() for _ in range(nodes // NODES_A_BLOCK)]
    # The last layer stands for the Softmax that freezes the channels there: groups end in a layer.
    model = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), *blocks, nn.Conv2d(WIDTH, 10, 1)).eval()
    image = torch.randn(1, WIDTH, 8, 8)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=image)
        groups = len(list(graph.get_all_groups()))
        best = min(best, time.perf_counter() - start)
    return 1e3 * best, groups


def main():
    torch.set_num_threads(1)
    with open(sys.argv[1], encoding="utf-8") as table:
        rows = [line.split() for line in table]
    # blocks, nodes, groups, ms
    ours = {int(row[1]): (row[1], float(row[3])) for row in rows if row and row[0] == "residual"}
    met = True
    print(f"\n{'blocks':<12} {'nodes':>8} {'pare ms':>10} {'Torch-Pruning ms':>18} {'ratio':>8}")
    for wanted in map(int, sys.argv[2:]):
        nodes = min(ours, key=lambda count: abs(count - wanted))
        theirs, groups = milliseconds(nodes)
        ratio = theirs / ours[nodes][1]
        met = met and ratio >= GOAL
        print(f"{'residual':<12} {nodes:>8} {ours[nodes][1]:>10.2f} {theirs:>18.1f} {ratio:>8.0f}   ({groups} groups there)")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
