"""ONNX graphs in the form of well-known networks, small, with seeded random weights: what pruning of channels has to follow."""
import numpy
from onnx import TensorProto, helper, numpy_helper, shape_inference


class Net:
    def __init__(self, name, shape, opset=17):
        self.random = numpy.random.default_rng(len(name) + sum(name.encode()))
        self.name, self.opset, self.nodes, self.weights = name, opset, [], []
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)

    def constant(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(numpy.asarray(values), name))
        return name

    def weight(self, *shape):
        fan = numpy.prod(shape[1:]) if len(shape) > 1 else shape[0]
        return self.constant((self.random.standard_normal(shape) * (2 / fan) ** 0.5).astype(numpy.float32))

    def op(self, kind, *inputs, outputs=1, **attributes):
        names = [f"{kind.lower()}{len(self.nodes)}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"{kind}_{len(self.nodes)}", **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x, cin, cout, k=1, stride=1, group=1, norm=True, act="Relu"):
        y = self.op("Conv", x, self.weight(cout, cin // group, k, k), self.weight(cout), kernel_shape=[k, k], strides=[stride] * 2,
                    pads=[k // 2] * 4, group=group)
        if norm:
            ones = lambda low, high: self.constant(self.random.uniform(low, high, cout).astype(numpy.float32))
            y = self.op("BatchNormalization", y, ones(0.5, 1.5), ones(-0.3, 0.3), ones(-0.2, 0.2), ones(0.5, 1.5))
        if act == "Silu":
            return self.op("Mul", y, self.op("Sigmoid", y))
        return self.op(act, y) if act else y

    def linear(self, x, cin, cout):
        return self.op("Add", self.op("MatMul", x, self.weight(cin, cout)), self.weight(cout))

    def norm(self, x, width):
        return self.op("LayerNormalization", x, self.constant(numpy.ones(width, numpy.float32)), self.weight(width), axis=-1)

    def reshape(self, x, *shape):
        return self.op("Reshape", x, self.constant(numpy.array(shape, numpy.int64)))

    def classify(self, x, width, classes=10):
        y = self.op("Flatten", self.op("GlobalAveragePool", x))
        return self.op("Gemm", y, self.weight(classes, width), self.weight(classes), transB=1)

    def save(self, path, *outputs):
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, self.name, [self.input], ports, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 8
        path.write_bytes(shape_inference.infer_shapes(model).SerializeToString())


def resnet(path):
    n = Net("resnet", ["N", 3, 32, 32])
    x, width = n.conv("x", 3, 16, 3), 16
    for cout, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        y = n.conv(n.conv(x, width, cout, 3, stride), cout, cout, 3, act=None)
        if cout != width:
            # Option A of the paper: fewer pixels, and zeros for the new channels.
            pad = (cout - width) // 2
            x = n.op("AveragePool", x, kernel_shape=[1, 1], strides=[2, 2])
            x = n.op("Pad", x, n.constant(numpy.array([0, pad, 0, 0, 0, pad, 0, 0], numpy.int64)))
        x, width = n.op("Relu", n.op("Add", x, y)), cout
    n.save(path, n.classify(x, 64))


def resnext(path):
    n = Net("resnext", ["N", 3, 32, 32])
    x = n.conv("x", 3, 64, 3)
    for _ in range(2):
        y = n.conv(n.conv(n.conv(x, 64, 128), 128, 128, 3, group=32), 128, 64, act=None)
        x = n.op("Relu", n.op("Add", x, y))
    n.save(path, n.classify(n.conv(x, 64, 64, 3, group=4), 64))


def shufflenet_v1(path):
    n = Net("shufflenet1", ["N", 3, 32, 32])
    x = n.conv("x", 3, 48, 3)
    for _ in range(3):
        y = n.conv(x, 48, 48, group=3)
        y = n.reshape(n.op("Transpose", n.reshape(y, -1, 3, 16, 32, 32), perm=[0, 2, 1, 3, 4]), -1, 48, 32, 32)
        y = n.conv(n.conv(y, 48, 48, 3, group=48, act=None), 48, 48, group=3, act=None)
        x = n.op("Relu", n.op("Add", x, y))
    n.save(path, n.classify(n.conv(x, 48, 64), 64))


def shufflenet_v2(path):
    n = Net("shufflenet2", ["N", 3, 32, 32])
    x = n.conv("x", 3, 64, 3)
    for _ in range(3):
        left, right = n.op("Split", x, n.constant(numpy.array([32, 32], numpy.int64)), outputs=2, axis=1)
        right = n.conv(n.conv(n.conv(right, 32, 32), 32, 32, 3, group=32, act=None), 32, 32)
        x = n.op("Concat", left, right, axis=1)
        x = n.reshape(n.op("Transpose", n.reshape(x, -1, 2, 32, 32, 32), perm=[0, 2, 1, 3, 4]), -1, 64, 32, 32)
    n.save(path, n.classify(n.conv(x, 64, 64), 64))


def densenet(path):
    n = Net("densenet", ["N", 3, 32, 32])
    x, width = n.conv("x", 3, 16, 3), 16
    for _ in range(2):
        for _ in range(4):
            x = n.op("Concat", x, n.conv(n.conv(x, width, 48), 48, 16, 3), axis=1)
            width += 16
        x = n.op("AveragePool", n.conv(x, width, width // 2), kernel_shape=[2, 2], strides=[2, 2])
        width //= 2
    n.save(path, n.classify(x, width))


def unet(path):
    n = Net("unet", ["N", 3, 64, 64])
    widths, skips, x, cin = (16, 32, 64), [], "x", 3
    for width in widths:
        x = n.conv(x, cin, width, 3)
        skips.append(x)
        x, cin = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), width
    x = n.conv(x, 64, 64, 3)
    for width, skip in zip(reversed(widths), reversed(skips)):
        if width == 64:
            x = n.op("ConvTranspose", x, n.weight(cin, width, 2, 2), n.weight(width), kernel_shape=[2, 2], strides=[2, 2])
        else:
            x = n.op("Resize", x, "", n.constant(numpy.array([1, 1, 2, 2], numpy.float32)), mode="nearest")
            x = n.conv(x, cin, width)
        x, cin = n.conv(n.op("Concat", x, skip, axis=1), 2 * width, width, 3), width
    n.save(path, n.conv(x, cin, 2, norm=False, act=None))


def efficientnet(path):
    n = Net("efficientnet", ["N", 3, 32, 32])
    x = n.conv("x", 3, 16, 3, act="Silu")
    for _ in range(3):
        y = n.conv(n.conv(x, 16, 96, act="Silu"), 96, 96, 3, group=96, act="Silu")
        s = n.op("ReduceMean", y, axes=[2, 3], keepdims=1)
        s = n.conv(n.conv(s, 96, 16, norm=False, act="Silu"), 16, 96, norm=False, act="Sigmoid")
        x = n.op("Add", x, n.conv(n.op("Mul", y, s), 96, 16, act=None))
    n.save(path, n.classify(n.conv(x, 16, 64, act="Silu"), 64))


def yolo(path):
    n = Net("yolo", ["N", 3, 64, 64])
    x = n.conv(n.conv("x", 3, 32, 3, 2, act="Silu"), 32, 64, 3, 2, act="Silu")
    a, b = n.op("Split", x, n.constant(numpy.array([32, 32], numpy.int64)), outputs=2, axis=1)
    c = n.op("Add", b, n.conv(n.conv(b, 32, 32, 3, act="Silu"), 32, 32, 3, act="Silu"))
    p3 = n.conv(n.op("Concat", a, b, c, axis=1), 96, 64, act="Silu")
    p4 = n.conv(p3, 64, 128, 3, 2, act="Silu")
    pool = p4
    pools = [p4]
    for _ in range(3):
        pool = n.op("MaxPool", pool, kernel_shape=[5, 5], pads=[2, 2, 2, 2], strides=[1, 1])
        pools.append(pool)
    p4 = n.conv(n.op("Concat", *pools, axis=1), 512, 128, act="Silu")
    up = n.op("Resize", p4, "", n.constant(numpy.array([1, 1, 2, 2], numpy.float32)), mode="nearest")
    p3 = n.conv(n.op("Concat", up, p3, axis=1), 192, 64, act="Silu")
    heads = []
    for level, (y, width, cells) in enumerate(((p3, 64, 256), (p4, 128, 64))):
        box = n.conv(n.conv(y, width, 64, 3, act="Silu"), 64, 64, norm=False, act=None)
        kind = n.conv(n.conv(y, width, 64, 3, act="Silu"), 64, 10, norm=False, act=None)
        heads.append(n.reshape(n.op("Concat", box, kind, axis=1), 0, 74, cells))
    y = n.op("Concat", *heads, axis=2)
    box, kind = n.op("Split", y, n.constant(numpy.array([64, 10], numpy.int64)), outputs=2, axis=1)
    box = n.op("Softmax", n.op("Transpose", n.reshape(box, 0, 4, 16, 320), perm=[0, 2, 1, 3]), axis=1)
    box = n.conv(box, 16, 1, norm=False, act=None)
    n.save(path, n.reshape(box, 0, 4, 320), n.op("Sigmoid", kind))


def attend(n, x, width, heads, key_heads, tokens, shape):
    """Attention over `tokens`; `shape` are the leading sizes. Fewer key heads than heads: grouped-query."""
    size = width // heads
    split = lambda y, count: n.op("Transpose", n.reshape(y, *shape, tokens, count, size), perm=[0, 2, 1, 3])
    q, k, v = (split(n.linear(x, width, count * size), count) for count in (heads, key_heads, key_heads))

    def repeat(y):
        if key_heads == heads:
            return y
        y = n.op("Unsqueeze", y, n.constant(numpy.array([2], numpy.int64)))
        y = n.op("Expand", y, n.constant(numpy.array([1, key_heads, heads // key_heads, tokens, size], numpy.int64)))
        return n.reshape(y, *shape, heads, tokens, size)

    scores = n.op("MatMul", q, n.op("Transpose", repeat(k), perm=[0, 1, 3, 2]))
    scores = n.op("Softmax", n.op("Mul", scores, n.constant(numpy.float32(size ** -0.5))), axis=-1)
    y = n.reshape(n.op("Transpose", n.op("MatMul", scores, repeat(v)), perm=[0, 2, 1, 3]), *shape, tokens, width)
    return n.linear(y, width, width)


def mlp(n, x, width):
    y = n.linear(x, width, 4 * width)
    y = n.op("Mul", y, n.op("Add", n.op("Erf", n.op("Div", y, n.constant(numpy.float32(2 ** 0.5)))), n.constant(numpy.float32(1))))
    return n.linear(y, 4 * width, width)


def gqa_transformer(path):
    n = Net("gqa", ["N", 16, 64])
    x = n.linear("x", 64, 64)
    for _ in range(2):
        x = n.op("Add", x, attend(n, n.norm(x, 64), 64, 8, 2, 16, (-1,)))
        y = n.norm(x, 64)
        gate = n.linear(y, 64, 128)
        y = n.linear(n.op("Mul", n.op("Mul", gate, n.op("Sigmoid", gate)), n.linear(y, 64, 128)), 128, 64)
        x = n.op("Add", x, y)
    n.save(path, n.linear(n.op("ReduceMean", x, axes=[1], keepdims=0), 64, 10))


def swin(path):
    n = Net("swin", ["N", 3, 32, 32])
    x = n.conv("x", 3, 48, 4, 4, norm=False, act=None)
    x = n.op("Slice", x, n.constant(numpy.array([0, 0], numpy.int64)), n.constant(numpy.array([8, 8], numpy.int64)),
             n.constant(numpy.array([2, 3], numpy.int64)))
    x = n.op("Transpose", x, perm=[0, 2, 3, 1])
    for _ in range(2):
        y = n.reshape(n.norm(x, 48), -1, 2, 4, 2, 4, 48)
        y = n.reshape(n.op("Transpose", y, perm=[0, 1, 3, 2, 4, 5]), -1, 16, 48)
        y = n.reshape(n.linear(y, 48, 144), -1, 16, 3, 3, 16)
        y = n.op("Transpose", y, perm=[2, 0, 3, 1, 4])
        q, k, v = (n.op("Gather", y, n.constant(numpy.int64(i)), axis=0) for i in range(3))
        scores = n.op("MatMul", n.op("Mul", q, n.constant(numpy.float32(0.25))), n.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = n.op("Softmax", n.op("Add", scores, n.weight(1, 3, 16, 16)), axis=-1)
        y = n.reshape(n.op("Transpose", n.op("MatMul", scores, v), perm=[0, 2, 1, 3]), -1, 16, 48)
        y = n.reshape(n.linear(y, 48, 48), -1, 2, 2, 4, 4, 48)
        x = n.op("Add", x, n.reshape(n.op("Transpose", y, perm=[0, 1, 3, 2, 4, 5]), -1, 8, 8, 48))
        x = n.op("Add", x, mlp(n, n.norm(x, 48), 48))
    n.save(path, n.linear(n.op("ReduceMean", x, axes=[1, 2], keepdims=0), 48, 10))


def super_resolution(path):
    n = Net("superresolution", ["N", 1, 16, 16])
    x = n.conv(n.conv("x", 1, 32, 5, act="Tanh", norm=False), 32, 64, 3, norm=False)
    x = n.conv(n.op("DepthToSpace", x, blocksize=2, mode="CRD"), 16, 32, 3, norm=False)
    x = n.reshape(x, -1, 8, 2, 2, 32, 32)
    x = n.reshape(n.op("Transpose", x, perm=[0, 1, 4, 2, 5, 3]), -1, 8, 64, 64)
    n.save(path, n.conv(x, 8, 1, 3, norm=False, act=None))


def recurrent(path):
    n = Net("recurrent", [6, "N", 24])
    for kind, gates in (("LSTM", 4), ("GRU", 3)):
        x = "x" if kind == "LSTM" else x
        width = 24 if kind == "LSTM" else 64
        x = n.op(kind, x, n.weight(2, gates * 32, width), n.weight(2, gates * 32, 32), n.weight(2, 2 * gates * 32), hidden_size=32,
                 direction="bidirectional")
        x = n.reshape(n.op("Transpose", x, perm=[0, 2, 1, 3]), 6, -1, 64)
    n.save(path, n.linear(x, 64, 10))


NETWORKS = (resnet, resnext, shufflenet_v1, shufflenet_v2, densenet, unet, efficientnet, yolo, gqa_transformer, swin, super_resolution,
            recurrent)
