#!/usr/bin/env python3
"""For bench_quantize.sh: ONNX Runtime's quantize_static, and the cosine of a quantized model's outputs.

Usage: bench_quantize_peer.py quantize MODEL SAMPLES.npz METHOD OUT.onnx | cosine MODEL QUANTIZED SAMPLES.npz
"""
import sys

import numpy
import onnxruntime


def quantize(model, data, method, out):
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, quantize_static

    # By default there is a thread for each core, bound to it even where the process may only run on another.
    class OneThread(onnxruntime.SessionOptions):
        def __init__(self):
            super().__init__()
            self.intra_op_num_threads = 1

    onnxruntime.SessionOptions = OneThread

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.arrays = dict(numpy.load(data))
            self.at = 0

        def get_next(self):
            if self.at >= len(next(iter(self.arrays.values()))):
                return None
            self.at += 1
            return {name: array[self.at - 1 : self.at] for name, array in self.arrays.items()}

    methods = {"minmax": CalibrationMethod.MinMax, "percentile:99.999": CalibrationMethod.Percentile, "entropy": CalibrationMethod.Entropy}
    quantize_static(model, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, calibrate_method=methods[method])


def cosine(model, quantized, data):
    arrays = dict(numpy.load(data))
    runs = []
    for path in (model, quantized):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        size = len(next(iter(arrays.values())))
        runs.append([session.run(None, {name: array[i : i + 1] for name, array in arrays.items()}) for i in range(size)])
    worst = 1.0
    for index in range(len(runs[0][0])):
        a, b = (numpy.concatenate([numpy.ravel(run[index]) for run in side]).astype(numpy.float64) for side in runs)
        keep = numpy.abs(a) < 1e30  # masked states
        worst = min(worst, float((a[keep] * b[keep]).sum() / numpy.sqrt((a[keep] ** 2).sum() * (b[keep] ** 2).sum())))
    print(f"{worst:.5f}")


if __name__ == "__main__":
    {"quantize": quantize, "cosine": cosine}[sys.argv[1]](*sys.argv[2:])
