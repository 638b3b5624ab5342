#!/usr/bin/env python3
"""Times training epochs of a network in PyTorch eager, with the whole data set in memory.

Usage: bench_epoch_torch.py --data FOLDER [--network cnn|lenet-300-100|lenet-5] [--epochs N] [--threads N] [--batch N]
       bench_epoch_torch.py --data FOLDER --memory [--batch N] ...

Prints JSON: {layout: [seconds of each epoch after the first]}. No augmentation: what is compared is the step itself.
--memory: ten steps, channels_last, and the process's peak of resident bytes instead.
"""
import argparse
import gzip
import json
import os
import resource
import time

import numpy as np
import torch
from make_fashion_cnn import CHANNELS, CLASSES, POOL_AFTER
from torch import nn
from torch.nn import functional


def read_idx(folder, name):
    path = os.path.join(folder, name)
    opener = open if os.path.exists(path) else gzip.open
    with opener(path if opener is open else f"{path}.gz", "rb") as file:
        data = file.read()
    shape = [int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def make_network(name):
    if name == "lenet-300-100":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(inplace=True), nn.Linear(300, 100), nn.ReLU(inplace=True),
                             nn.Linear(100, CLASSES))
    if name == "lenet-5":
        return nn.Sequential(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 500),
                             nn.ReLU(inplace=True), nn.Linear(500, CLASSES))
    layers = []
    for i, (fan_in, fan_out) in enumerate(zip(CHANNELS, CHANNELS[1:]), start=1):
        layers += [nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False), nn.BatchNorm2d(fan_out), nn.ReLU(inplace=True)]
        if i in POOL_AFTER:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS[-1], CLASSES))


class Training:
    def __init__(self, name, images, labels, layout, batch):
        torch.manual_seed(1)
        self.network = make_network(name).to(memory_format=layout)
        self.images, self.labels, self.layout, self.batch = images.contiguous(memory_format=layout), labels, layout, batch
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, fused=True)

    def epoch(self, steps=None):
        for chosen in torch.randperm(len(self.images)).split(self.batch)[:steps]:
            batch = self.images[chosen].contiguous(memory_format=self.layout)
            loss = functional.cross_entropy(self.network(batch), self.labels[chosen])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()

    def times(self, epochs):
        times = []
        for _ in range(epochs + 1):
            began = time.perf_counter()
            self.epoch()
            times.append(time.perf_counter() - began)
        return times[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--network", default="cnn", choices=["cnn", "lenet-300-100", "lenet-5"])
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = torch.from_numpy(read_idx(arguments.data, "train-images-idx3-ubyte").copy()).float().div_(255).unsqueeze(1)
    labels = torch.from_numpy(read_idx(arguments.data, "train-labels-idx1-ubyte").astype(np.int64))
    layouts = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    if arguments.memory:
        Training(arguments.network, images, labels, torch.channels_last, arguments.batch).epoch(steps=10)
        print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
        return
    print(json.dumps({name: Training(arguments.network, images, labels, layout, arguments.batch).times(arguments.epochs)
                      for name, layout in layouts.items()}))


if __name__ == "__main__":
    main()
