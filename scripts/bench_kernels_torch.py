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


def fake_quantize(*arguments):
    """Forward and backward, per channel with 1,000 channels or per tensor."""
    inputs = weight[:size // 1000 * 1000].view(1000, -1).requires_grad_()
    with torch.enable_grad():
        kernel = torch.fake_quantize_per_channel_affine if len(arguments) > 4 else torch.fake_quantize_per_tensor_affine
        kernel(inputs, *arguments).backward(gradient[:inputs.numel()].view_as(inputs))
    inputs.grad = None


def fake_quantize_channel():
    fake_quantize(torch.full((1000,), 0.03), torch.zeros(1000, dtype=torch.int32), 0, -8, 7)


def fake_quantize_tensor():
    fake_quantize(0.03, 0, -8, 7)


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
    bodies = [copy, moving_average, moving_average_in_place, kthvalue, sort, two_of_four, fake_quantize_channel, fake_quantize_tensor]
    print(json.dumps({body.__name__: median_ms(body) for body in bodies}))
