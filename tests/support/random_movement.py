"""Random nodes that move elements, and that compute sizes."""
import numpy
from onnx import TensorProto, helper
from random_makers import Made, anything, drawn, maker, of_rank, with_axis


# --- moving elements ---

@maker(1, 2, 3)
def reshape(g, _):
    value = anything(g)
    sizes = list(value.shape)
    for _ in range(g.random.integers(1, 3)):
        if len(sizes) > 1 and g.chance(0.6):
            at = g.random.integers(len(sizes) - 1)
            sizes[at:at + 2] = [sizes[at] * sizes[at + 1]]
        else:
            sizes.insert(g.random.integers(len(sizes) + 1), 1)
    if sizes and value.array.size and g.chance(0.5):
        sizes[g.random.integers(len(sizes))] = -1
    elif sizes and value.shape and sizes[0] == value.shape[0] and g.chance(0.5):
        sizes[0] = 0
    return Made("Reshape", [value, g.list_of(sizes)])


@maker(1, 2)
def transpose(g, _):
    value = anything(g, 1)
    return value and Made("Transpose", [value], **({"perm": g.random.permutation(value.rank).tolist()} if g.chance(0.8) else {}))


@maker()
def flatten(g):
    value = anything(g, 1)
    return Made("Flatten", [value], axis=int(g.random.integers(-value.rank, value.rank + 1)))


@maker()
def squeeze(g):
    value = g.value(lambda v: 1 in v.shape)
    if value is None:
        return None
    ones = [i for i, size in enumerate(value.shape) if size == 1]
    axes = sorted(g.random.choice(ones, g.random.integers(1, len(ones) + 1), replace=False).tolist())
    return Made("Squeeze", [value] + ([g.list_of([a - value.rank if g.chance(0.3) else a for a in axes])] if g.chance(0.8) else []))


@maker()
def unsqueeze(g):
    value = g.value(lambda v: v.rank < 4)
    if value is None:
        return None
    count = int(g.random.integers(1, 3))
    axes = g.random.choice(value.rank + count, count, replace=False).tolist()
    return Made("Unsqueeze", [value, g.list_of([a - value.rank - count if g.chance(0.3) else a for a in axes])])


@maker()
def expand(g):
    value = anything(g)
    sizes = [int(g.random.choice([2, 3, 1])) if size == 1 else (size if g.chance(0.7) else 1) for size in value.shape]
    return Made("Expand", [value, g.list_of(([2] if g.chance(0.3) else []) + sizes)])


@maker()
def tile(g):
    value = anything(g, 1)
    return Made("Tile", [value, g.list_of(g.random.integers(1, 3, value.rank).tolist())])


@maker(1, 2)
def concat(g, _):
    first = anything(g, 1)
    axis = g.axis(first.rank)
    def fits(v):
        return v.array.dtype == first.array.dtype and v.rank == first.rank and all(a == b for i, (a, b) in enumerate(zip(v.shape, first.shape)) if i != axis % first.rank)
    parts = [first] + [g.value(fits) for _ in range(g.random.integers(0, 3))]
    if g.chance(0.5):
        shape = list(first.shape)
        shape[axis] = 2
        parts.append(drawn(g, first.array.dtype, shape))
    g.random.shuffle(parts)
    return Made("Concat", parts, axis=axis)


@maker(1, 2)
def split(g, _):
    value = g.value(lambda v: v.rank > 0 and max(v.shape) > 1)
    if value is None:
        return None
    axis = g.axis(value.rank)
    size = value.shape[axis]
    if size < 2:
        return None
    if g.chance(0.5):
        first = int(g.random.integers(1, size))
        return Made("Split", [value, g.list_of([first, size - first])], 2, axis=axis)
    count = int(g.random.integers(2, size + 1))
    return Made("Split", [value], count, axis=axis, **({"num_outputs": count} if g.opset >= 18 else {}))


@maker(1, 2, 3)
def slice_of(g, _):
    value = anything(g, 1)
    axes = g.random.choice(value.rank, g.random.integers(1, value.rank + 1), replace=False).tolist()
    starts = g.random.integers(-8, 8, len(axes)).tolist()
    ends = [int(g.random.choice([-9, -3, -1, 1, 2, 4, 9, 2**31 - 1, -2**31])) for _ in axes]
    # ONNX Runtime takes the largest number to be the axis' other end, backwards.
    steps = [int(g.random.choice([1, 2] if end == 2**31 - 1 else [-2, -1, 1, 1, 1, 2, 3])) for end in ends]
    inputs = [value, g.list_of(starts), g.list_of(ends), g.list_of([a - value.rank if g.chance(0.3) else a for a in axes])]
    return Made("Slice", inputs + ([g.list_of(steps)] if g.chance(0.7) else []))


@maker("constant", "constant", "reflect", "edge", "wrap")
def pad(g, mode):
    value = g.value(lambda v: v.is_real and 0 < v.rank < 5)
    low = -1 if mode == "constant" and g.chance(0.3) else 0
    most = max(0, min(value.shape) - 1) if mode in ("reflect", "wrap") else 2
    pads = g.random.integers(low, most + 1, 2 * value.rank).tolist()
    number = g.constant(numpy.array(0.5, numpy.float32), keep=False) if g.chance(0.5) and mode == "constant" else None
    return Made("Pad", [value, g.list_of(pads)] + ([number] if number else []), mode=mode)


@maker(1, 2)
def gather(g, _):
    value = anything(g, 1)
    axis = g.axis(value.rank)
    size = value.shape[axis]
    if size == 0:
        return None
    kind = numpy.int32 if g.chance(0.3) else numpy.int64
    indices = g.random.integers(-size, size, g.any_shape(0, 2)).astype(kind)
    return Made("Gather", [value, g.constant(indices)], axis=axis)


@maker()
def gather_elements(g):
    value = g.value(with_axis)
    if value is None:
        return None
    axis = g.axis(value.rank)
    shape = [int(g.random.integers(1, size + 1)) for size in value.shape]
    shape[axis] = int(g.random.integers(1, 5))
    return Made("GatherElements", [value, g.constant(g.random.integers(-value.shape[axis], value.shape[axis], shape))], axis=axis)


@maker()
def gather_nd(g):
    value = g.value(of_rank(2, 3, 4))
    if value is None or value.array.size == 0:
        return None
    depth = int(g.random.integers(1, value.rank + 1))
    indices = numpy.stack([g.random.integers(-n, n, (2, 3)) for n in value.shape[:depth]], -1)
    return Made("GatherND", [value, g.constant(indices)])


@maker("none", "add", "mul", "max")
def scatter_elements(g, how):
    value = g.value(with_axis)
    if value is None:
        return None
    axis = g.axis(value.rank)
    shape = [int(g.random.integers(1, size + 1)) for size in value.shape]
    count = shape[axis]
    # Without a reduction, places that are written twice have no defined value.
    places = numpy.stack([g.random.permutation(value.shape[axis])[:count] for _ in range(int(numpy.prod(shape)) // count)], -1)
    places = numpy.moveaxis(places.reshape([count] + [n for i, n in enumerate(shape) if i != axis % value.rank]), 0, axis)
    attributes = {"axis": axis, **({"reduction": how} if how != "none" else {})}
    return Made("ScatterElements", [value, g.constant(places), g.constant(g.reals(shape))], **attributes)


@maker("none", "add")
def scatter_nd(g, how):
    value = g.value(of_rank(2, 3))
    if value is None or value.array.size == 0:
        return None
    rows = g.random.permutation(value.shape[0])[:2]
    updates = g.reals((len(rows), *value.shape[1:]))
    return Made("ScatterND", [value, g.constant(rows[:, None]), g.constant(updates)], **({"reduction": how} if how != "none" else {}))


@maker("DepthToSpace", "SpaceToDepth")
def blocks(g, op):
    n, c, h, w = (int(v) for v in g.random.integers(1, 4, 4))
    value = g.constant(g.reals((n, c * 4, h, w) if op == "DepthToSpace" else (n, c, 2 * h, 2 * w)))
    return Made(op, [value], blocksize=2, **({"mode": str(g.random.choice(["DCR", "CRD"]))} if op == "DepthToSpace" else {}))


@maker()
def one_hot(g):
    indices = g.value(lambda v: v.array.dtype == numpy.int64 and v.rank < 3)
    return indices and Made("OneHot", [indices, g.constant(numpy.array(5, numpy.int64), keep=False), g.constant(numpy.array([-0.5, 1.5], numpy.float32), keep=False)],
                            axis=g.axis(indices.rank + 1))


@maker()
def non_zero(g):
    value = g.value(lambda v: v.rank > 0 and v.array.dtype.kind in "bf")
    return value and Made("NonZero", [value])


# --- sizes ---

@maker(1, 2)
def shape_of(g, _):
    value = anything(g)
    if g.opset < 15 or g.chance(0.5):
        return Made("Shape", [value])
    return Made("Shape", [value], start=int(g.random.integers(-3, 3)), end=int(g.random.integers(-3, 4)))


@maker()
def size_of(g):
    return Made("Size", [anything(g)])


@maker(1, 2)
def reshape_by_shape(g, _):
    """To the shape of another value with as many elements."""
    value = anything(g)
    sizes = g.value(lambda v: v.array.dtype == numpy.int64 and v.rank == 1 and v.array.size < 6 and numpy.prod(v.array) == value.array.size)
    return sizes and Made("Reshape", [value, sizes])


@maker()
def constant_of_shape(g):
    sizes = g.value(lambda v: v.array.dtype == numpy.int64 and v.rank == 1 and 0 < v.array.size < 5 and (v.array >= 0).all() and numpy.prod(v.array) < 300)
    number = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.75])
    return sizes and Made("ConstantOfShape", [sizes], **({"value": number} if g.chance(0.7) else {}))


@maker()
def expand_by_shape(g):
    value = anything(g)
    sizes = g.value(lambda v: v.array.dtype == numpy.int64 and v.rank == 1 and 0 < v.array.size < 5 and (v.array > 0).all())
    return sizes and Made("Expand", [value, sizes])


@maker()
def range_of(g):
    limit = g.value(lambda v: v.array.dtype == numpy.int64 and v.rank == 0 and v.array < 50)
    ends = [g.constant(numpy.array(number, numpy.int64), keep=False) for number in (1, 2)]
    return limit and Made("Range", [ends[0], limit, ends[1]])
