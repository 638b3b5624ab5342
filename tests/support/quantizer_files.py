"""Files that onnxruntime.quantization writes of real models."""
import logging

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static


class Feeds(CalibrationDataReader):
    def __init__(self, feeds):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def with_initializers(source, target):
    """The quantizers take no weights that are Constant nodes."""
    model = onnx.load(source)
    constants = [node for node in model.graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]
    for node in constants:
        model.graph.initializer.append(node.attribute[0].t)
        model.graph.initializer[-1].name = node.output[0]
        model.graph.node.remove(node)
    onnx.save(model, target)


def quantized(source, target, form, feeds):
    """`form`: dynamic, or static (integer operators, weights a tensor or a channel)."""
    logging.disable(logging.WARNING)
    plain = target.with_suffix(".plain.onnx")
    with_initializers(source, plain)
    if form == "dynamic":
        quantize_dynamic(plain, target)
    else:
        kinds = {"static": (QuantType.QUInt8, QuantType.QInt8, True), "static-uint8": (QuantType.QUInt8, QuantType.QUInt8, False),
                 "static-int8": (QuantType.QInt8, QuantType.QInt8, False)}
        activations, weights, channels = kinds[form]
        quantize_static(plain, target, Feeds(feeds), quant_format=QuantFormat.QOperator, activation_type=activations, weight_type=weights,
                        per_channel=channels)
    plain.unlink()


def operators(path):
    """The names of the operators in the file and its subgraphs, with their domains."""
    names = set()

    def visit(graph):
        for node in graph.node:
            names.add(f"{node.domain}.{node.op_type}" if node.domain else node.op_type)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    visit(attribute.g)

    visit(onnx.load(path).graph)
    return names
