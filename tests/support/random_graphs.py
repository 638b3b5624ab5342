"""Random ONNX graphs over the operators that pare runs, from a seed. Every node is run by ONNX Runtime as it is added: a graph keeps what
ONNX Runtime accepts, stays finite and moderate, and does not jump when its operands change by rounding errors."""
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from operator_cases import session

import random_elementwise  # noqa: F401 (their makers register themselves)
import random_layers  # noqa: F401
import random_movement  # noqa: F401
from random_makers import MAKERS

SIZES = (1, 2, 3, 5, 7)
OPSETS = (13, 17, 21, 23)
LARGEST = 1e3  # of a value that goes on
MOST_ELEMENTS = 5000


class Value:
    def __init__(self, name, array):
        self.name = name
        self.array = array

    @property
    def rank(self):
        return self.array.ndim

    @property
    def shape(self):
        return self.array.shape

    @property
    def is_real(self):
        return self.array.dtype == numpy.float32


class RandomGraph:
    """`nodes` operators, and what ONNX Runtime computes of `inputs` without optimisations: `outputs`; None where it does not load all of the
    graph, whose nodes it runs one by one (its shape inference contradicts some of them)."""

    def __init__(self, seed, nodes):
        self.random = numpy.random.default_rng(seed)
        self.opset = int(self.random.choice(OPSETS))
        self.nodes, self.values, self.initializers, self.ports = [], [], [], []
        self.inputs = []
        self.read = set()
        for _ in range(self.random.integers(1, 4)):
            self.add_input()
        self.constant(self.reals(self.any_shape()))
        attempts = 0
        while len(self.nodes) < nodes and attempts < 30 * nodes:
            attempts += 1
            self.grow()
        self.finish()

    # --- what the makers of nodes draw from ---

    def chance(self, share):
        return self.random.random() < share

    def any_shape(self, least=0, most=4):
        return tuple(int(self.random.choice(SIZES)) for _ in range(self.random.integers(least, most + 1)))

    def reals(self, shape, low=-2.0, high=2.0):
        return self.random.uniform(low, high, shape).astype(numpy.float32)

    def axis(self, rank):
        """Any axis, counted from either end."""
        return int(self.random.integers(-rank, rank))

    def value(self, accept=lambda value: value.is_real):
        """Any value that is accepted, later ones more often; None where there is none."""
        fitting = [value for value in self.values if accept(value)]
        if not fitting:
            return None
        weights = numpy.arange(1, len(fitting) + 1) ** 1.5
        return fitting[self.random.choice(len(fitting), p=weights / weights.sum())]

    def constant(self, array, keep=True):
        """An initializer; with `keep` later nodes may read it too."""
        value = Value(f"c{len(self.initializers)}", numpy.asarray(array))
        self.initializers.append(numpy_helper.from_array(value.array, value.name))
        if keep:
            self.values.append(value)
        return value

    def list_of(self, integers):
        return self.constant(numpy.array(integers, numpy.int64), keep=False)

    # --- growing ---

    def add_input(self):
        array = self.reals(self.any_shape(1, 4))
        value = Value(f"x{len(self.ports)}", array)
        dims = [f"d{len(self.ports)}_{i}" if self.chance(0.3) else size for i, size in enumerate(array.shape)]
        self.ports.append(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, dims))
        self.values.append(value)
        self.inputs.append(array)

    def grow(self):
        kept = len(self.initializers), len(self.values)
        made = MAKERS[self.random.integers(len(MAKERS))](self)
        results = self.results_of(made) if made is not None else None
        if results is None:
            del self.initializers[kept[0]:]
            del self.values[kept[1]:]
            return
        names = [f"v{len(self.nodes)}_{i}" for i in range(len(results))]
        self.nodes.append(helper.make_node(made.op, [v.name if v is not None else "" for v in made.inputs], names, domain=made.domain,
                                           name=f"n{len(self.nodes)}", **made.attributes))
        self.read.update(v.name for v in made.operands())
        self.values += [Value(name, array) for name, array in zip(names, results)]

    def results_of(self, made):
        """The node's outputs, or None where it is not fit for the graph."""
        if not made.domain and not onnx.defs.has(made.op, self.opset):
            return None  # ONNX Runtime has some operators before ONNX does
        try:
            run = session(self.model_of(made))
            operands = {v.name: v.array for v in made.operands()}
            results = run.run(None, operands)
            moved = run.run(None, {name: self.moved(array) for name, array in operands.items()})
        except Exception:
            return None
        for result, other in zip(results, moved):
            if result.size > MOST_ELEMENTS or result.shape != other.shape or result.dtype != other.dtype:
                return None
            if result.dtype.kind == "f":
                if not numpy.isfinite(result).all() or not numpy.isfinite(other).all() or (result.size and abs(result).max() > LARGEST):
                    return None
                if not numpy.allclose(result, other, 2e-3, 2e-3):
                    return None
            elif not numpy.array_equal(result, other):
                return None
        return results

    def moved(self, array):
        """Real numbers as another order of summation might give them."""
        if array.dtype.kind != "f":
            return array
        noise = 1e-5 * self.random.choice([-1, 1], array.shape)
        return (array * (1 + noise) + 0.1 * noise).astype(array.dtype)

    def model_of(self, made):
        names = [v.name if v is not None else "" for v in made.inputs]
        unique = {v.name: v for v in made.operands()}
        outputs = [f"y{i}" for i in range(made.outputs)]
        node = helper.make_node(made.op, names, outputs, domain=made.domain, **made.attributes)
        ports = [helper.make_tensor_value_info(v.name, helper.np_dtype_to_tensor_dtype(v.array.dtype), v.shape) for v in unique.values()]
        graph = helper.make_graph([node], "g", ports, [helper.make_empty_tensor_value_info(name) for name in outputs])
        return self.wrapped(graph)

    def wrapped(self, graph):
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()

    def finish(self):
        """Outputs: what nothing reads, and every value in one graph of two."""
        everything = self.chance(0.5)
        produced = [value for value in self.values if value.name.startswith("v")]
        ends = [value for value in produced if everything or value.name not in self.read] or produced
        ports = [helper.make_tensor_value_info(v.name, helper.np_dtype_to_tensor_dtype(v.array.dtype), [None] * v.rank) for v in ends]
        initializers = [tensor for tensor in self.initializers if tensor.name in self.read]
        self.model = self.wrapped(helper.make_graph(self.nodes, "g", self.ports, ports, initializers))
        onnx.checker.check_model(self.model)
        self.ops = [node.op_type for node in self.nodes]
        try:
            self.outputs = session(self.model).run(None, {port.name: array for port, array in zip(self.ports, self.inputs)})
        except Exception as error:
            self.outputs, self.refused = None, str(error)
