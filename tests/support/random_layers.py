"""Random products, convolutions, pools, normalisations, recurrent layers, operators on integers, and If."""
import numpy
from onnx import TensorProto, helper
from random_makers import Made, maker, of_rank


# --- products ---

@maker(1, 2, 3)
def matmul(g, _):
    value = g.value(lambda v: v.is_real and v.rank > 0)
    shape = [value.shape[-1]] + ([int(g.random.choice([1, 3, 5]))] if g.chance(0.8) else [])
    if value.rank > 2 and len(shape) == 2 and g.chance(0.4):
        shape = [n if g.chance(0.5) else 1 for n in value.shape[:-2]] + shape
    return Made("MatMul", [value, g.constant(g.reals(shape, -0.7, 0.7))])


@maker(1, 2)
def gemm(g, _):
    value = g.value(of_rank(2))
    if value is None:
        return None
    trans_a, trans_b = int(g.chance(0.3)), int(g.chance(0.5))
    m, k = value.shape[::-1] if trans_a else value.shape
    n = int(g.random.choice([1, 3, 7]))
    c = g.constant(g.reals([(), (n,), (m, 1), (m, n), (1, n)][g.random.integers(5)])) if g.chance(0.7) else None
    return Made("Gemm", [value, g.constant(g.reals((n, k) if trans_b else (k, n), -0.7, 0.7))] + ([c] if c else []), transA=trans_a, transB=trans_b,
                alpha=float(g.random.choice([1.0, 0.5])), beta=float(g.random.choice([1.0, 0.5])))


@maker("ij,jk->ik", "bij,jk->bik", "i,j->ij", "ij->ji", "bij,bkj->bik", "ii->i", "ij->")
def einsum(g, equation):
    left = equation.split("->")[0].split(",")
    value = g.value(of_rank(len(left[0])))
    if value is None:
        return None
    sizes = dict(zip(left[0], value.shape))
    others = [g.constant(g.reals([sizes.setdefault(letter, 3) for letter in part])) for part in left[1:]]
    return Made("Einsum", [value] + others, equation=equation)


def window(g, rank, kernel, shape):
    attributes = {"strides": g.random.integers(1, 3, rank).tolist()}
    if g.chance(0.3):
        attributes["auto_pad"] = str(g.random.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    elif g.chance(0.7):
        attributes["pads"] = g.random.integers(0, 2, 2 * rank).tolist()
    if g.chance(0.3):
        attributes["dilations"] = g.random.integers(1, 3, rank).tolist()
    return attributes


@maker(3, 4, 4, 5)
def conv(g, rank):
    value = g.value(of_rank(rank))
    if value is None or value.array.size == 0:
        return None
    kernel = [int(g.random.integers(1, 4)) for _ in range(rank - 2)]
    channels = value.shape[1]
    group = channels if g.chance(0.3) else 1
    out = group * int(g.random.integers(1, 4))
    w = g.constant(g.reals([out, channels // group] + kernel, -0.5, 0.5))
    return Made("Conv", [value, w] + ([g.constant(g.reals((out,)))] if g.chance(0.5) else []), group=group, **window(g, rank - 2, kernel, value.shape))


@maker(3, 4)
def conv_transpose(g, rank):
    value = g.value(of_rank(rank))
    if value is None or value.array.size == 0:
        return None
    kernel = [int(g.random.integers(1, 4)) for _ in range(rank - 2)]
    w = g.constant(g.reals([value.shape[1], 2] + kernel, -0.5, 0.5))
    attributes = window(g, rank - 2, kernel, value.shape)
    if "auto_pad" not in attributes and g.chance(0.3):
        attributes["output_padding"] = [int(g.random.integers(0, stride)) for stride in attributes["strides"]]
    return Made("ConvTranspose", [value, w], **attributes)


def reaches(attributes, kernel, shape):
    """Whether one window at least fits into the padded input: what comes out otherwise is not defined."""
    rank = len(kernel)
    pads = attributes.get("pads", [0] * (2 * rank))
    dilations = attributes.get("dilations", [1] * rank)
    if attributes.get("auto_pad", "VALID") != "VALID":
        return True
    return all(dilations[i] * (kernel[i] - 1) < shape[i + 2] + pads[i] + pads[i + rank] for i in range(rank))


@maker("MaxPool", "AveragePool", "MaxPool", "AveragePool", "LpPool")
def pool(g, op):
    value = g.value(of_rank(3, 4, 5))
    if value is None or value.array.size == 0:
        return None
    kernel = [int(g.random.integers(1, 4)) for _ in range(value.rank - 2)]
    attributes = window(g, value.rank - 2, kernel, value.shape)
    if "auto_pad" in attributes or (op != "MaxPool" and g.opset < 19):
        attributes.pop("dilations", None)  # ONNX Runtime pads as if there were none
    if not reaches(attributes, kernel, value.shape):
        return None
    if op == "AveragePool":
        attributes["count_include_pad"] = int(g.chance(0.5))
    if "auto_pad" not in attributes and g.chance(0.3) and op != "LpPool":
        attributes["ceil_mode"] = 1
    return Made(op, [value], 2 if op == "MaxPool" and g.chance(0.2) else 1, kernel_shape=kernel, **attributes)


@maker("GlobalAveragePool", "GlobalMaxPool")
def global_pool(g, op):
    value = g.value(lambda v: v.is_real and v.rank > 2 and v.array.size)
    return value and Made(op, [value])


@maker()
def batch_normalization(g):
    value = g.value(lambda v: v.is_real and v.rank > 1)
    if value is None:
        return None
    c = (value.shape[1],)
    return Made("BatchNormalization", [value, g.constant(g.reals(c)), g.constant(g.reals(c)), g.constant(g.reals(c)), g.constant(g.reals(c, 0.5, 2))])


@maker()
def instance_normalization(g):
    value = g.value(lambda v: v.is_real and v.rank > 2 and numpy.prod(v.shape[2:]) > 1)
    if value is None:
        return None
    c = (value.shape[1],)
    return Made("InstanceNormalization", [value, g.constant(g.reals(c)), g.constant(g.reals(c))], epsilon=1e-2)


@maker()
def lrn(g):
    value = g.value(of_rank(4))
    return value and Made("LRN", [value], size=int(g.random.choice([1, 3])), alpha=0.3)


@maker("nearest", "linear", "cubic")
def resize(g, mode):
    value = g.value(of_rank(4) if mode == "cubic" else of_rank(3, 4))
    if value is None or value.array.size == 0:
        return None
    attributes = {"mode": mode, "coordinate_transformation_mode": str(g.random.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]))}
    if mode == "nearest":
        attributes["nearest_mode"] = str(g.random.choice(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]))
    spatial = [int(g.random.integers(1, 8)) for _ in value.shape[2:]]
    if g.chance(0.5):
        return Made("Resize", [value, None, None, g.list_of(list(value.shape[:2]) + spatial)], **attributes)
    scales = numpy.array([1, 1] + [float(g.random.choice([0.5, 1, 1.5, 2])) for _ in spatial], numpy.float32)
    return Made("Resize", [value, None, g.constant(scales, keep=False)], **attributes)


@maker("LSTM", "GRU", "RNN")
def recurrent(g, op):
    value = g.value(of_rank(3))
    if value is None or value.array.size == 0:
        return None
    direction = str(g.random.choice(["forward", "reverse", "bidirectional"]))
    d, h = 2 if direction == "bidirectional" else 1, int(g.random.integers(1, 5))
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    inputs = [value, g.constant(g.reals((d, gates * h, value.shape[2]), -0.5, 0.5)), g.constant(g.reals((d, gates * h, h), -0.5, 0.5))]
    if g.chance(0.6):
        inputs.append(g.constant(g.reals((d, 2 * gates * h))))
    attributes = {"linear_before_reset": int(g.chance(0.5))} if op == "GRU" else {}
    return Made(op, inputs, 3 if op == "LSTM" else 2, hidden_size=h, direction=direction, **attributes)


# --- integers ---

@maker(numpy.uint8, numpy.int8, numpy.uint8)
def quantize(g, kind):
    value = g.value(lambda v: v.is_real and v.array.size)
    if value is None:
        return None
    step = max(float(abs(value.array).max()), 0.1) / 100
    middle = 128 if kind == numpy.uint8 else 0
    if value.rank and g.chance(0.3):
        axis = g.axis(value.rank)
        n = value.shape[axis]
        return Made("QuantizeLinear", [value, g.constant(numpy.full(n, step, numpy.float32), keep=False), g.constant(numpy.full(n, middle, kind), keep=False)], axis=axis)
    return Made("QuantizeLinear", [value, g.constant(numpy.array(step, numpy.float32), keep=False), g.constant(numpy.array(middle, kind), keep=False)])


def coded(v):
    return v.array.dtype in (numpy.uint8, numpy.int8)


def grid(g, kind, step=0.02):
    middle = 120 if kind == numpy.uint8 else -3
    return [g.constant(numpy.array(step, numpy.float32), keep=False), g.constant(numpy.array(middle, kind), keep=False)]


@maker(1, 2, 3)
def dequantize(g, _):
    value = g.value(coded)
    return value and Made("DequantizeLinear", [value] + grid(g, value.array.dtype))


@maker()
def codes(g):
    kind = g.random.choice([numpy.uint8, numpy.int8])
    limits = numpy.iinfo(kind)
    return Made("Identity", [g.constant(g.random.integers(limits.min, limits.max + 1, g.any_shape(1, 4)).astype(kind))])


@maker()
def matmul_integer(g):
    value = g.value(lambda v: coded(v) and v.rank > 1 and v.array.size)
    if value is None:
        return None
    w = g.constant(g.random.integers(-128, 128, (value.shape[-1], 5)).astype(numpy.int8), keep=False)
    return Made("MatMulInteger", [value, w, grid(g, value.array.dtype)[1]])


@maker()
def conv_integer(g):
    value = g.value(lambda v: v.array.dtype == numpy.uint8 and v.rank == 4 and v.array.size)
    if value is None:
        return None
    w = g.constant(g.random.integers(-128, 128, (3, value.shape[1], 2, 2)).astype(numpy.int8), keep=False)
    return Made("ConvInteger", [value, w, grid(g, numpy.uint8)[1]], pads=[1, 0, 1, 1])


@maker()
def dynamic_quantize(g):
    value = g.value(lambda v: v.is_real and v.array.size)
    return value and Made("DynamicQuantizeLinear", [value], 3)


# --- control ---

@maker(1, 2)
def if_else(g, _):
    """Branches that read a value from around."""
    value = g.value(lambda v: v.is_real)
    condition = g.value(lambda v: v.array.dtype == bool and v.array.size == 1) or g.constant(numpy.array(g.chance(0.5)))
    branches = {}
    for name, op in (("then_branch", "Tanh"), ("else_branch", "Neg")):
        output = f"{op}_{len(g.nodes)}"
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None) if g.chance(0.5) else helper.make_empty_tensor_value_info(output)
        branches[name] = helper.make_graph([helper.make_node(op, [value.name], [output])], name, [], [result])
    made = Made("If", [condition], **branches)
    made.captured = [value]
    return made
