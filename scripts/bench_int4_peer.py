#!/usr/bin/env python3
"""For bench_int4.sh: int4 weights in symmetric blocks by ONNX Runtime's MatMulNBits quantizer or by NNCF's compress_weights.

Usage: bench_int4_peer.py ort|nncf MODEL BLOCK OUT.onnx
"""
import sys

import onnx

peer, model, block, out = sys.argv[1:]
if peer == "ort":
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(onnx.load(model), block_size=int(block), is_symmetric=True)
    quantizer.process()
    quantizer.model.save_model_to_file(out)
else:
    import nncf

    onnx.save(nncf.compress_weights(onnx.load(model), mode=nncf.CompressWeightsMode.INT4_SYM, group_size=int(block), ratio=1.0), out)
