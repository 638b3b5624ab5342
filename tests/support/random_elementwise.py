"""Random nodes that compute element by element, and along axes."""
import numpy
from onnx import TensorProto
from random_makers import Made, drawn, maker, of_rank, partner, with_axis


# --- elementwise ---

@maker("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "HardSwish", "Identity", "IsInf", "IsNaN",
       "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh")
def unary(g, op):
    value = g.value()
    return value and Made(op, [value])


@maker("Celu", "Elu", "LeakyRelu", "ThresholdedRelu")
def with_alpha(g, op):
    value = g.value()
    return value and Made(op, [value], alpha=float(g.random.uniform(0.2, 1.5)))


@maker()
def selu(g):
    value = g.value()
    return value and Made("Selu", [value])


@maker()
def gelu(g):
    value = g.value()
    return value and Made("Gelu", [value], approximate=str(g.random.choice(["none", "tanh"])))


@maker()
def hard_sigmoid(g):
    value = g.value()
    return value and Made("HardSigmoid", [value], alpha=0.3, beta=0.4)


@maker()
def shrink(g):
    value = g.value()
    return value and Made("Shrink", [value], lambd=0.4, bias=0.1)


@maker("Add", "Div", "Max", "Min", "Mul", "Pow", "Sub", "Add", "Mul", "Mean", "Sum", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")
def binary(g, op):
    # Integers divided by 0 end the process.
    value = g.value(lambda v: v.is_real or (op != "Div" and v.array.dtype.kind == "i" and g.chance(0.2)))
    other = value and partner(g, value)
    if other is None:
        return None
    inputs = [value, other] if g.chance(0.5) else [other, value]
    if op in ("Max", "Min", "Mean", "Sum") and g.chance(0.5):
        inputs.append(partner(g, value) or value)
    return Made(op, inputs)


@maker(0, 1)
def mod(g, fmod):
    value = g.value(lambda v: v.array.dtype.kind == ("f" if fmod else "i"))
    if value is None:
        return None
    divisor = g.constant(g.reals(value.shape, 0.4, 0.9) if fmod else g.random.choice([-3, -2, 2, 5], value.shape).astype(value.array.dtype))
    return Made("Mod", [value, divisor], fmod=fmod)


@maker("And", "Or", "Xor")
def logic(g, op):
    value = g.value(lambda v: v.array.dtype == bool)
    other = value and partner(g, value)
    return other and Made(op, [value, other])


@maker()
def logical_not(g):
    value = g.value(lambda v: v.array.dtype == bool)
    return value and Made("Not", [value])


@maker(1, 2, 3)
def where(g, _):
    value = g.value()
    other = partner(g, value)
    if other is None:
        return None
    whole = numpy.broadcast_shapes(value.shape, other.shape)
    condition = g.value(lambda v: v.array.dtype == bool and v.shape == whole) or drawn(g, bool, [n if g.chance(0.7) else 1 for n in whole])
    return Made("Where", [condition, value, other])


@maker()
def clip(g):
    value = g.value(lambda v: v.array.dtype.kind in "fi")
    limit = lambda number: g.constant(numpy.array(number, value.array.dtype), keep=False) if g.chance(0.8) else None
    return Made("Clip", [value, limit(-1), limit(1)])


@maker()
def prelu(g):
    value = g.value(with_axis)
    return value and Made("PRelu", [value, g.constant(g.reals([n if g.chance(0.7) else 1 for n in value.shape], 0.1, 0.9))])


@maker(TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.UINT8, TensorProto.INT8, TensorProto.DOUBLE, TensorProto.FLOAT16)
def cast(g, kind):
    value = g.value(lambda v: True)
    unsigned = kind == TensorProto.UINT8
    if value.array.size and value.array.dtype.kind in "fi" and (value.array.min() < (0 if unsigned else -127) or value.array.max() > 127):
        return None  # what floats beyond an integer's range become is not defined
    return Made("Cast", [value], to=kind)


@maker(1, 2)
def back_to_float(g, _):
    value = g.value(lambda v: v.array.dtype != numpy.float32)
    return value and Made("Cast", [value], to=TensorProto.FLOAT)


@maker()
def cast_like(g):
    value = g.value(lambda v: v.array.dtype.kind in "fb")
    other = g.value(lambda v: v.array.dtype.kind == "f")
    return Made("CastLike", [value, other])


# --- along axes ---

@maker("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare")
def reduction(g, op):
    whole = "Log" not in op and g.chance(0.3)  # ONNX Runtime rounds inside of logarithms of integers
    value = g.value(lambda v: v.is_real or (whole and v.array.dtype.kind == "i"))
    if value is None or (op == "ReduceMean" and value.array.size == 0):
        return None  # the mean of nothing is not defined
    attributes = {"keepdims": int(g.chance(0.5))}
    axes = sorted(g.random.choice(value.rank, g.random.integers(1, value.rank + 1), replace=False).tolist()) if value.rank else []
    axes = [axis - value.rank if g.chance(0.3) else axis for axis in axes]
    if not axes or g.chance(0.2):
        if g.opset >= 18 and g.chance(0.3):
            attributes["noop_with_empty_axes"] = 1
        return Made(op, [value], **attributes)
    if op == "ReduceSum" or g.opset >= 18:
        return Made(op, [value, g.list_of(axes)], **attributes)
    return Made(op, [value], axes=axes, **attributes)


@maker("ArgMax", "ArgMin")
def extreme_index(g, op):
    value = g.value(with_axis)
    return value and Made(op, [value], axis=g.axis(value.rank), keepdims=int(g.chance(0.5)), select_last_index=int(g.chance(0.3)))


@maker("Softmax", "LogSoftmax", "Hardmax")
def softmax(g, op):
    value = g.value(with_axis)
    return value and Made(op, [value], axis=g.axis(value.rank))


@maker()
def cum_sum(g):
    value = g.value(with_axis)
    return value and Made("CumSum", [value, g.constant(numpy.array(g.axis(value.rank), numpy.int64), keep=False)], exclusive=int(g.chance(0.5)),
                          reverse=int(g.chance(0.5)))


@maker()
def top_k(g):
    value = g.value(with_axis)
    if value is None:
        return None
    axis = g.axis(value.rank)
    k = g.random.integers(1, value.shape[axis] + 1)
    return Made("TopK", [value, g.list_of([k])], 2, axis=axis, largest=int(g.chance(0.5)))


@maker()
def lp_normalization(g):
    value = g.value(with_axis)
    return value and Made("LpNormalization", [value], axis=g.axis(value.rank), p=int(g.random.integers(1, 3)))


@maker()
def layer_normalization(g):
    value = g.value(with_axis)
    if value is None:
        return None
    axis = g.axis(value.rank)
    shape = value.shape[axis:]
    return Made("LayerNormalization", [value, g.constant(g.reals(shape)), g.constant(g.reals(shape)) if g.chance(0.6) else None],
                3 if g.chance(0.2) else 1, axis=axis, epsilon=1e-2)


@maker()
def trilu(g):
    value = g.value(of_rank(2, 3, 4))
    return value and Made("Trilu", [value, g.constant(numpy.array(g.random.integers(-2, 3), numpy.int64), keep=False)], upper=int(g.chance(0.5)))
