"""Makers of random nodes: each takes a RandomGraph and gives an operator with operands that may fit, or None. What ONNX Runtime refuses is
dropped by the graph."""
import numpy

MAKERS = []


class Made:
    def __init__(self, op, inputs, outputs=1, domain="", **attributes):
        self.op, self.inputs, self.outputs, self.domain, self.attributes = op, inputs, outputs, domain, attributes
        self.captured = []  # what subgraphs read

    def operands(self):
        return [value for value in self.inputs + self.captured if value is not None]


def maker(*arguments):
    """Registers a maker; with arguments, once for each of them."""
    def register(function):
        if arguments:
            MAKERS.extend(lambda g, argument=argument: function(g, argument) for argument in arguments)
        else:
            MAKERS.append(function)
        return function
    return register


def of_rank(*ranks):
    return lambda value: value.is_real and value.rank in ranks


def with_axis(value):
    return value.is_real and value.rank > 0 and value.array.size > 0


def partner(g, value):
    """Another value of the type that broadcasts with this one, or a constant that does."""
    def fits(other):
        if other.array.dtype != value.array.dtype:
            return False
        try:
            return numpy.broadcast_shapes(other.shape, value.shape) is not None
        except ValueError:
            return False
    if g.chance(0.5):
        return g.value(fits)
    shape = [size if g.chance(0.6) else 1 for size in value.shape]
    shape = tuple(shape[g.random.integers(0, len(shape) + 1):]) if g.chance(0.5) else (int(g.random.choice([2, 3])), *shape) if len(shape) < 5 else tuple(shape)
    return drawn(g, value.array.dtype, shape)


def drawn(g, dtype, shape, low=-3, high=4):
    if dtype == numpy.float32:
        return g.constant(g.reals(shape))
    if dtype == bool:
        return g.constant(g.random.integers(0, 2, shape).astype(bool))
    low = max(low, 0) if numpy.dtype(dtype).kind == "u" else low
    return g.constant(g.random.integers(low, high, shape).astype(dtype))


def anything(g, least=0):
    return g.value(lambda v: v.rank >= least)
