#!/usr/bin/env python3
"""Times the usual PyTorch expressions for what bench_kernels times; prints one JSON object.

Usage: bench_kernels_torch.py SIZE THREADS REPEATS
"""
import json
import statistics
import sys
import time

import torch

size, threads, repeats = (int(argument) for argument in sys.argv[1:4])
torch.set_num_threads(threads)
torch.manual_seed(1)
size = size // 4 * 4
weight, gradient, average = torch.randn(size), torch.randn(size), torch.rand(size)
score = (weight * gradient).abs()
other = torch.empty_like(weight)
decay = 0.9


def kthvalue():
    torch.kthvalue(score, size // 5 * 4)


def sort():
    torch.sort(score)


def two_of_four():
    groups = score.view(-1, 4)
    torch.zeros_like(groups).scatter_(1, groups.topk(2, dim=1).indices, 1.0)


def moving_average():
    global average
    average = decay * average + (1 - decay) * (weight * gradient).abs()


def moving_average_in_place():
    average.mul_(decay).add_((weight * gradient).abs_(), alpha=1 - decay)


def copy():
    other.copy_(weight)


def median_ms(body):
    times = []
    for _ in range((1 if body is sort else repeats) + 1):  # sorting takes seconds
        began = time.perf_counter()
        body()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[1:])  # the first one warms up


with torch.no_grad():
    bodies = [copy, moving_average, moving_average_in_place, kthvalue, sort, two_of_four]
    print(json.dumps({body.__name__: median_ms(body) for body in bodies}))
