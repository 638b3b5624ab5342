#!/usr/bin/env python3
"""Times training epochs of the bundled CNN's architecture in PyTorch eager, with the whole data set in memory.

Usage: bench_epoch_torch.py --data FOLDER [--epochs N] [--threads N] [--batch N]

Prints JSON: {layout: [seconds of each epoch after the first]}. No augmentation: what is compared is the step itself.
"""
import argparse
import gzip
import json
import os
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


def make_network():
    layers = []
    for i, (fan_in, fan_out) in enumerate(zip(CHANNELS, CHANNELS[1:]), start=1):
        layers += [nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False), nn.BatchNorm2d(fan_out), nn.ReLU(inplace=True)]
        if i in POOL_AFTER:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS[-1], CLASSES))


def epoch_times(images, labels, layout, epochs, batch):
    torch.manual_seed(1)
    network = make_network().to(memory_format=layout)
    images = images.contiguous(memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    times = []
    for _ in range(epochs + 1):
        began = time.perf_counter()
        order = torch.randperm(len(images))
        for chosen in order.split(batch):
            loss = functional.cross_entropy(network(images[chosen].contiguous(memory_format=layout)), labels[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        times.append(time.perf_counter() - began)
    return times[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = torch.from_numpy(read_idx(arguments.data, "train-images-idx3-ubyte").copy()).float().div_(255).unsqueeze(1)
    labels = torch.from_numpy(read_idx(arguments.data, "train-labels-idx1-ubyte").astype(np.int64))
    layouts = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    print(json.dumps({name: epoch_times(images, labels, layout, arguments.epochs, arguments.batch) for name, layout in layouts.items()}))


if __name__ == "__main__":
    main()
