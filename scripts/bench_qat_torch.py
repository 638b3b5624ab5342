#!/usr/bin/env python3
"""Times training steps of the bundled CNN's network in PyTorch eager: in float, and with PyTorch's own fake quantization.

Usage: bench_qat_torch.py --data FOLDER [--steps N] [--threads N] [--batch N]

The fake quantization is torch.ao.quantization.prepare_qat's with the qconfig of x86: convolution, normalization and ReLU fused, weights per
channel, moving-average observers in the fused kernel. Prints JSON: {"float": seconds a step, "qat": seconds a step}, each the median of
five runs of N steps in the network's faster layout, the two taking turns.
"""
import argparse
import json
import statistics
import time
import warnings

import numpy as np
import torch
from bench_epoch_torch import make_network, read_idx
from torch import nn
from torch.nn import functional

RUNS = 5


def prepared(network):
    """The network with fake quantization where prepare_qat puts it."""
    warnings.filterwarnings("ignore")
    names = [name for name, _ in network.named_children()]
    kinds = [type(module) for module in network.children()]
    groups = [names[i : i + 3] for i in range(len(names) - 2) if kinds[i : i + 3] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]]
    network.train()
    torch.ao.quantization.fuse_modules_qat(network, groups, inplace=True)
    network = torch.ao.quantization.QuantWrapper(network)
    network.qconfig = torch.ao.quantization.get_default_qat_qconfig("x86")
    return torch.ao.quantization.prepare_qat(network, inplace=True)


class Steps:
    def __init__(self, network, images, labels, layout, batch):
        self.network = network.to(memory_format=layout)
        self.images, self.labels, self.layout, self.batch = images, labels, layout, batch
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def seconds(self, steps):
        began = time.perf_counter()
        for chosen in torch.randperm(len(self.images)).split(self.batch)[:steps]:
            batch = self.images[chosen].contiguous(memory_format=self.layout)
            loss = functional.cross_entropy(self.network(batch), self.labels[chosen])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        return (time.perf_counter() - began) / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    images = torch.from_numpy(read_idx(arguments.data, "train-images-idx3-ubyte").copy()).float().div_(255).unsqueeze(1)
    labels = torch.from_numpy(read_idx(arguments.data, "train-labels-idx1-ubyte").astype(np.int64))
    trained = {(kind, layout): Steps(make(make_network("cnn")), images, labels, layout, arguments.batch)
               for layout in (torch.contiguous_format, torch.channels_last)
               for kind, make in (("float", lambda network: network), ("qat", prepared))}
    for steps in trained.values():
        steps.seconds(10)
    times = {key: [] for key in trained}
    for _ in range(RUNS):
        for key, steps in trained.items():
            times[key].append(steps.seconds(arguments.steps))
    print(json.dumps({kind: min(statistics.median(taken) for (of, _), taken in times.items() if of == kind) for kind in ("float", "qat")}))


if __name__ == "__main__":
    main()
