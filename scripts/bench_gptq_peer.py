#!/usr/bin/env python3
"""GPTQ as published (Frantar et al. 2023, algorithm 1, with act-order and static groups), in PyTorch, for bench_gptq.sh.

Usage: bench_gptq_peer.py samples COUNT LENGTH OUT.npz | compare MODEL SAMPLES.npz PARE.onnx NEAREST.onnx REPORT.json BLOCK THREADS

`compare` measures the Hessians of MODEL's products by ONNX Runtime and numpy, rounds with the scales of PARE.onnx (both sides have
the same scales and Hessians), and prints the outputs' error of each layer and the seconds from the Hessians to the codes. Exit 1 when
pare is not below nearest in a layer, or not 3 times as fast.
"""
import json
import sys
import time

import numpy
import onnx
from onnx import numpy_helper


def samples(count, length, out):
    random = numpy.random.default_rng(1)
    shape = (int(count), int(length))
    numpy.savez(out, input_ids=random.integers(1000, 20000, shape), attention_mask=numpy.ones(shape, numpy.int64))


def hessians_of(model, data, rows_at_once=8):
    """H = sum x x^T of what each constant product reads, by the weight's name; products of one value share it."""
    import onnxruntime

    constants = {tensor.name for tensor in model.graph.initializer}
    reads = {node.input[1]: node.input[0] for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in constants}
    values = sorted(set(reads.values()))
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in values)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    arrays = dict(numpy.load(data))
    sums = {}
    for begin in range(0, len(arrays["input_ids"]), rows_at_once):
        batch = {name: array[begin : begin + rows_at_once] for name, array in arrays.items()}
        for name, value in zip(values, session.run(values, batch)):
            rows = value.reshape(-1, value.shape[-1])
            sums[name] = sums.get(name, 0) + rows.T @ rows
    return {weight: sums[value] for weight, value in reads.items()}


def decoded_of(path, block):
    """Codes, the scale of each element, by the name of the float weight."""
    model = onnx.load(path)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and any(a.name == "block_size" for a in node.attribute):
            codes = numpy_helper.to_array(constants[node.input[0]]).astype(numpy.float32)
            scale = numpy_helper.to_array(constants[node.input[1]]).repeat(block, 0)[: len(codes)]
            found[node.input[0].removesuffix("_codes")] = codes, scale
    return found


def gptq(torch, weight, hessian, scale, blocksize=128, percdamp=0.01):
    """weight, scale [outputs, K]; the weight as codes times scales."""
    columns = weight.shape[1]
    hessian, weight = hessian.clone(), weight.clone()
    dead = torch.diag(hessian) == 0
    hessian[dead, dead] = 1
    perm = torch.argsort(torch.diag(hessian), descending=True)
    weight, scale = weight[:, perm], scale[:, perm]
    hessian = hessian[perm][:, perm]
    index = torch.arange(columns)
    hessian[index, index] += percdamp * torch.mean(torch.diag(hessian))
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    result = torch.zeros_like(weight)
    for begin in range(0, columns, blocksize):
        end = min(begin + blocksize, columns)
        block = weight[:, begin:end].clone()
        errors = torch.zeros_like(block)
        factor = inverse[begin:end, begin:end]
        for i in range(end - begin):
            column, step = block[:, i], scale[:, begin + i]
            rounded = torch.clamp(torch.round(column / step), -8, 7) * step
            result[:, begin + i] = rounded
            error = (column - rounded) / factor[i, i]
            block[:, i:] -= error.unsqueeze(1).matmul(factor[i, i:].unsqueeze(0))
            errors[:, i] = error
        weight[:, end:] -= errors.matmul(inverse[begin:end, end:])
    return result[:, torch.argsort(perm)]


def compare(path, data, ours_path, nearest_path, report, block, threads):
    import torch

    torch.set_num_threads(int(threads))
    model = onnx.load(path)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    hessians = hessians_of(model, data)
    ours, nearest = (decoded_of(file, int(block)) for file in (ours_path, nearest_path))
    seconds, better = 0.0, True
    print(f"{'layer':<22}{'nearest':>11}{'pare':>11}{'peer':>11}   squared error of the outputs / their squares")
    for name, hessian in hessians.items():
        if name not in ours:
            continue
        weight, scale = weights[name], ours[name][1]
        arguments = [torch.from_numpy(numpy.ascontiguousarray(array)) for array in (weight.T, hessian, scale.T)]
        start = time.perf_counter()
        peer = gptq(torch, *arguments).numpy().T
        seconds += time.perf_counter() - start
        size = numpy.einsum("ij,ij->", hessian.astype(numpy.float64) @ weight, weight)
        errors = []
        for value in (numpy.multiply(*nearest[name]), numpy.multiply(*ours[name]), peer):
            change = value.astype(numpy.float64) - weight
            errors.append(numpy.einsum("ij,ij->", hessian @ change, change) / size)
        better = better and errors[1] < errors[0]
        print(f"{name:<22}" + "".join(f"{error:>11.3g}" for error in errors))
    pare = json.load(open(report))["result"]["rounding_seconds"]
    print(f"Hessians to codes: pare {pare:.3f} s, PyTorch {seconds:.3f} s: {seconds / pare:.1f}x, goal 3x; "
          f"below nearest in every layer: {'yes' if better else 'NO'}")
    sys.exit(0 if better and seconds >= 3 * pare else 1)


{"samples": samples, "compare": compare}[sys.argv[1]](*sys.argv[2:])
