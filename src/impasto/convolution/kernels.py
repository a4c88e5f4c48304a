"""The fast 3×3 convolution, written for this machine: F(4×4, 3×3) of Lavin & Gray 2016.

A tile of 4×4 results needs a square of 6×6 inputs. Both the square and the kernel are transformed
to 36 numbers, multiplied number by number and summed over the input channels, which makes 36 small
matrix products; the sums are transformed back to the 4×4 results. This takes 36 multiplications
where the definition takes 144.

A thread takes a chunk of tiles at a time and goes through four steps that each stay in its cache:
squares are gathered and transformed, the kernels of a few output channels are transformed, both are
multiplied, and the products are transformed back, with all that follows the convolution (bias,
ReLU, pooling) on the way to memory. All loops run over channels, which lie next to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from impasto.convolution.code import BYTE, BYTES, FLOAT, INT, LANES, POINTER, VECTOR, Code, Value

ROWS = 6
"""Tiles that one product keeps in registers."""

ARGUMENTS = (
    "counters",  # threads that have begun, and chunks that have been taken
    "source",
    "gate",
    "weights",  # (blocks, inputs, 9, columns)
    "bias",
    "result",
    "codes",  # where the places of a pooling go
    "scratch",  # `share` floats for each thread
    "nothing",  # zeros to read, `inputs` of them, then room for what is dropped
    "height",
    "width",
    "inputs",
    "outputs",
    "out_height",
    "out_width",
    "padding",
    "chunk",  # tiles of a chunk, a multiple of ROWS
    "tiles",
    "across",  # tiles in a row
    "share",
    "v_step",  # floats between the 36 matrices of transformed squares
    "u_block",  # and between transformed kernels of two blocks of columns, of two of their 6 rows;
    "u_row",  # both 0 where each overwrites the one before
    "m_step",  # and between the 36 products
    "resident",  # 1: the transformed kernels are kept from chunk to chunk
    "factor",
)
"""What a convolution is told, in this order, each 8 bytes; `factor` is a float32."""

GRAM_ARGUMENTS = (
    "counters",
    "rows",
    "first",  # (slabs, channels)
    "second",  # (slabs, channels, channels)
    "scratch",
    "channels",
    "wide",  # positions that lie next to each other
    "pitch",  # floats from the first of these to the first of the next
    "across",  # pieces of GRAM_STEP positions in so many
    "pieces",
    "slab",  # pieces that are summed on their own
    "slabs",
)
"""What the sums over positions are told."""

ADDITION_ARGUMENTS = (
    "counters",
    "rows",
    "matrix",
    "constant",
    "result",
    "channels",
    "wide",
    "pitch",
    "across",
    "pieces",
    "chunk",  # positions of a piece
)
"""What the product that is added is told."""

ENTRANCE_ARGUMENTS = (
    "counters",
    "first",  # the three planes of the picture, in the order that the network wants
    "second",
    "third",
    "factors",  # two for each plane
    "map",
    "height",  # of the picture
    "width",
    "margin",  # how often its edge is repeated around it
)
"""What the entrance and the exit are told."""

GRAM_ROWS = 4
"""Rows of a Gram matrix that are summed at a time; a divisor of all channels here."""

GRAM_STEP = 128
"""Positions whose part of a Gram matrix is summed before the next ones are looked at."""

_POINTERS = (
    "counters",
    "source",
    "gate",
    "weights",
    "bias",
    "result",
    "codes",
    "scratch",
    "nothing",
)


def _write_product(module: ir.Module, columns: int) -> Code:
    """Writes `result (rows, columns) = left (rows, depth) · right (depth, columns)`.

    Rows are rounded up to `ROWS`; those of `left` and `result` lie `depth` and `columns` floats
    apart.
    """
    code = Code(module, "product", (POINTER, POINTER, POINTER, INT, INT))
    left, right, result, rows, depth = code.parameters
    vectors = range(columns // LANES)
    with code.loop(0, rows, ROWS) as row:
        lines = [code.at(left, (row + i) * depth) for i in range(ROWS)]
        nothing = [Value(code, ir.Constant(VECTOR, None))] * (ROWS * len(vectors))
        with code.accumulate(0, depth, 1, nothing) as (index, sums, results):
            right_line = [code.load(right, index * columns + LANES * v) for v in vectors]
            for i, line in enumerate(lines):
                factor = code.splat(code.load(line, index, FLOAT))
                results += [sums[i * len(vectors) + v] + factor * right_line[v] for v in vectors]
        for i in range(ROWS):
            for v in vectors:
                place = (row + i) * columns + LANES * v
                code.store(results[i * len(vectors) + v], result, place)
    code.finish()
    return code


def write_gram(module: ir.Module, name: str, columns: int) -> None:
    """Writes `first = Σ row` and, on and above the diagonal, `second = Σ row · rowᵀ`, by slabs.

    Its arguments are `GRAM_ARGUMENTS`. Every slab is the sum over its own positions, in an order
    that depends on nothing else, so that it does not matter which thread takes it.
    """
    code = Code(module, name)
    a: dict[str, Value] = dict(
        zip(GRAM_ARGUMENTS, code.arguments(len(GRAM_ARGUMENTS)), strict=True)
    )
    for key in ("counters", "rows", "first", "second", "scratch"):
        a[key] = code.pointer(a[key])
    vectors = range(columns // LANES)
    blocks = a["channels"] // columns
    panel = code.at(a["scratch"], code.take(a["counters"]) * (columns * GRAM_STEP))
    with code.forever() as leave:
        task = code.take(code.at(a["counters"], 1, INT))
        leave(task >= a["slabs"] * blocks)
        slab, own = task // blocks, (task % blocks) * columns
        first = code.at(a["first"], slab * a["channels"] + own)
        second = code.at(a["second"], slab * (a["channels"] * a["channels"]) + own)
        begin = slab * a["slab"]
        with code.loop(begin, code.least(begin + a["slab"], a["pieces"])) as piece:
            along = (piece % a["across"]) * GRAM_STEP
            count = code.least(a["wide"] - along, GRAM_STEP)
            lines = code.at(a["rows"], (piece // a["across"]) * a["pitch"] + along * a["channels"])
            before = [code.load(first, LANES * v) for v in vectors]
            with code.accumulate(0, count, 1, before) as (position, sums, results):
                for v in vectors:
                    value = code.load(lines, position * a["channels"] + own + LANES * v)
                    code.store(value, panel, position * columns + LANES * v)
                    results.append(sums[v] + value)
            for v in vectors:
                code.store(results[v], first, LANES * v)
            with code.loop(0, own + columns, GRAM_ROWS) as row:
                line = code.at(second, row * a["channels"])
                places = [
                    code.at(line, a["channels"] * i + LANES * v)
                    for i in range(GRAM_ROWS)
                    for v in vectors
                ]
                before = [code.load(place, 0) for place in places]
                with code.accumulate(0, count, 1, before) as (index, sums, results):
                    right = [code.load(panel, index * columns + LANES * v) for v in vectors]
                    for i in range(GRAM_ROWS):
                        left = code.load(lines, index * a["channels"] + row + i, FLOAT)
                        factor = code.splat(left)
                        results += [sums[i * len(vectors) + v] + factor * right[v] for v in vectors]
                for place, value in zip(places, results, strict=True):
                    code.store(value, place, 0)
    code.finish()


def write_addition(module: ir.Module, name: str, columns: int) -> None:
    """Writes `result += rows · matrix + constant`, over the channels of each position.

    Its arguments are `ADDITION_ARGUMENTS`; `matrix` is `(blocks, channels, columns)`.
    """
    code = Code(module, name)
    a: dict[str, Value] = dict(
        zip(ADDITION_ARGUMENTS, code.arguments(len(ADDITION_ARGUMENTS)), strict=True)
    )
    for key in ("counters", "rows", "matrix", "constant", "result"):
        a[key] = code.pointer(a[key])
    vectors = range(columns // LANES)
    with code.forever() as leave:
        piece = code.take(code.at(a["counters"], 1, INT))
        leave(piece >= a["pieces"])
        along = (piece % a["across"]) * a["chunk"]
        count = code.least(a["wide"] - along, a["chunk"])
        start = (piece // a["across"]) * a["pitch"] + along * a["channels"]
        given, target = code.at(a["rows"], start), code.at(a["result"], start)
        with code.loop(0, a["channels"] // columns) as block:
            matrix = code.at(a["matrix"], block * (a["channels"] * columns))
            constant = [
                code.load(a["constant"], block * columns + LANES * v) for v in vectors
            ] * ROWS
            with code.loop(0, count, ROWS) as row:
                # Beyond the last position it is written again, with the same numbers.
                offsets = [code.least(row + i, count - 1) * a["channels"] for i in range(ROWS)]
                lines = [code.at(given, offset) for offset in offsets]
                with code.accumulate(0, a["channels"], 1, constant) as (index, sums, results):
                    right = [code.load(matrix, index * columns + LANES * v) for v in vectors]
                    for i, line in enumerate(lines):
                        factor = code.splat(code.load(line, index, FLOAT))
                        results += [sums[i * len(vectors) + v] + factor * right[v] for v in vectors]
                places = [
                    code.at(target, offset + block * columns + LANES * v)
                    for offset in offsets
                    for v in vectors
                ]
                before = [code.load(place, 0) for place in places]
                for place, old, value in zip(places, before, results, strict=True):
                    code.store(old + value, place, 0)
    code.finish()


def write_entrance(module: ir.Module, name: str, columns: int) -> None:
    """Writes `map = factor · plane + other factor`, the planes' numbers next to each other.

    Its arguments are `ENTRANCE_ARGUMENTS`, as those of `write_exit` are; the map has `columns`
    channels, zeros after the third.
    """
    code = Code(module, name)
    a, planes = _entrance(code)
    factors = [code.load(a["factors"], i, FLOAT) for i in range(6)]
    long, high = a["width"] + a["margin"] * 2, a["height"] + a["margin"] * 2
    with code.forever() as leave:
        row = code.take(code.at(a["counters"], 1, INT))
        leave(row >= high)
        given = _clamp(code, row - a["margin"], a["height"]) * a["width"]
        target = code.at(a["map"], row * (long * columns))
        with code.loop(0, long) as column:
            place = given + _clamp(code, column - a["margin"], a["width"])
            values = [
                code.load(plane, place, FLOAT) * factors[2 * i] + factors[2 * i + 1]
                for i, plane in enumerate(planes)
            ]
            code.store(code.vector(values), target, column * columns)
    code.finish()


def write_exit(module: ir.Module, name: str, columns: int) -> None:
    """Writes the planes' slopes from those of the map that `write_entrance` made of them.

    A pixel of the edge gets the sum over all the places that it was repeated at.
    """
    code = Code(module, name)
    a, planes = _entrance(code)
    factors = [code.load(a["factors"], 2 * i, FLOAT) for i in range(3)]
    long = a["width"] + a["margin"] * 2
    with code.forever() as leave:
        row = code.take(code.at(a["counters"], 1, INT))
        leave(row >= a["height"])
        top, bottom = _repeats(code, row, a["height"], a["margin"])
        with code.loop(0, a["width"]) as column:
            left, right = _repeats(code, column, a["width"], a["margin"])
            with code.accumulate(top, bottom, 1, [code.zero]) as (down, before, total):
                line = code.at(a["map"], down * (long * columns))
                with code.accumulate(left, right, 1, before) as (along, sums, results):
                    results.append(sums[0] + code.load(line, along * columns))
                total.append(results[0])
            for i, plane in enumerate(planes):
                code.store(code.lane(total[0], i) * factors[i], plane, row * a["width"] + column)
    code.finish()


def _entrance(code: Code) -> tuple[dict[str, Value], list[Value]]:
    numbers = code.arguments(len(ENTRANCE_ARGUMENTS))
    a: dict[str, Value] = dict(zip(ENTRANCE_ARGUMENTS, numbers, strict=True))
    for key in ("counters", "first", "second", "third", "factors", "map"):
        a[key] = code.pointer(a[key])
    return a, [a["first"], a["second"], a["third"]]


def _clamp(code: Code, place: Value, size: Value) -> Value:
    return code.greatest(code.least(place, size - 1), 0)


def _repeats(code: Code, place: Value, size: Value, margin: Value) -> tuple[Value, Value]:
    """Where a row or column of the picture lies in the map: from, and up to."""
    start = code.select(place < 1, code.number(0), place + margin)
    stop = code.select(place >= size - 1, size + margin * 2, place + margin + 1)
    return start, stop


def write_convolution(module: ir.Module, name: str, columns: int, source: str, result: str) -> None:
    """Writes one kind of convolution.

    Args:
        module: where to.
        name: of the function.
        columns: output channels that are worked on at a time.
        source: `plain`; `gated`: counts only where `gate` is positive; `pooled`: what came back
            from a pooling, spread over the places that `gate` names.
        result: `plain`, `relu`, or `max` and `average`: the ReLU's 2×2 pooling, with its places.
    """
    product = _write_product(module, columns)
    code = Code(module, name)
    a: dict[str, Value] = dict(zip(ARGUMENTS, code.arguments(len(ARGUMENTS)), strict=True))
    for key in _POINTERS:
        a[key] = code.pointer(a[key])
    a["factor"] = code.load(code.parameters[0], 2 * ARGUMENTS.index("factor"), FLOAT)
    places = code.table(72)
    built = code.table(1)
    code.store(code.number(0), built, 0, 8)
    blocks = a["outputs"] // columns
    squares = code.at(a["scratch"], code.take(a["counters"]) * a["share"])
    products = code.at(squares, a["v_step"] * 36)
    kernels = code.at(products, a["m_step"] * 36)
    with code.forever() as leave:
        begin = code.take(code.at(a["counters"], 1, INT)) * a["chunk"]
        leave(begin >= a["tiles"])
        count = code.least(a["tiles"] - begin, a["chunk"])
        with code.loop(0, count) as tile:
            down, along = (begin + tile) // a["across"], (begin + tile) % a["across"]
            place = code.at(squares, tile * a["inputs"])
            if source == "pooled":
                _gather_pooled(code, a, places, down, along, place)
            else:
                _gather(code, a, places, down, along, place, gated=source == "gated")
        with code.loop(0, blocks) as block:
            own = code.at(kernels, block * a["u_block"])
            given = code.at(a["weights"], block * (a["inputs"] * (9 * columns)))
            for i in range(6):
                row = code.at(own, a["u_row"] * i)
                with code.when(code.load(built, 0, INT, 8).equals(0)):
                    _transform_kernels(code, given, row, i, a["inputs"], columns)
                with code.loop(0, 6) as j:
                    code.call(
                        product,
                        code.at(squares, (j + 6 * i) * a["v_step"]),
                        code.at(row, j * (a["inputs"] * columns)),
                        code.at(products, (j + 6 * i) * a["m_step"]),
                        count,
                        a["inputs"],
                    )
            with code.loop(0, count) as tile:
                down, along = (begin + tile) // a["across"], (begin + tile) % a["across"]
                place = code.at(products, tile * columns)
                write = _scatter_pooled if result in ("max", "average") else _scatter
                write(code, a, places, down, along, place, block * columns, columns, result)
        code.store(a["resident"], built, 0, 8)
    code.finish()


def _squares_transform(d: Sequence[Value]) -> list[Value]:
    """`Bᵀd` for the points 0, ±1, ±2 and ∞."""
    outer, inner = d[4] - d[2] * 4.0, d[3] - d[1] * 4.0
    near, far = d[4] - d[2], (d[3] - d[1]) * 2.0
    return [
        d[0] * 4.0 - d[2] * 5.0 + d[4],
        outer + inner,
        outer - inner,
        near + far,
        near - far,
        d[1] * 4.0 - d[3] * 5.0 + d[5],
    ]


def _kernel_transform(g: Sequence[Value], i: int) -> Value:
    """Row `i` of `Gg`."""
    if i == 0:
        return g[0] * 0.25
    if i == 5:
        return g[2]
    outer = (g[0] + g[2]) * (-1 / 6) if i < 3 else g[0] * (1 / 24) + g[2] * (1 / 6)
    middle = g[1] * (1 / 6 if i < 3 else 1 / 12)
    return outer - middle if i in (1, 4) else outer + middle


def _products_transform(m: Sequence[Value]) -> list[Value]:
    """`Aᵀm`."""
    one, two = m[1] + m[2], m[3] + m[4]
    odd, far = m[1] - m[2], m[3] - m[4]
    return [m[0] + one + two, odd + far * 2.0, one + two * 4.0, odd + far * 8.0 + m[5]]


def _both_ways(
    values: Sequence[Value], size: int, transform: Callable[[Sequence[Value]], list[Value]]
) -> list[Value]:
    """A transform of a square down its columns, then along its rows; row by row in and out."""
    columns = [transform(values[j::size]) for j in range(size)]
    rows = zip(*columns, strict=True)
    return [value for row in rows for value in transform(row)]


def _inside(code: Code, place: Value, size: Value) -> Value:
    return code.all_of(place >= 0, place < size)


def _gather(
    code: Code,
    a: dict[str, Value],
    places: Value,
    down: Value,
    along: Value,
    result: Value,
    gated: bool,
) -> None:
    """Transforms one square; what lies beyond the border counts as zero."""
    top, left = down * 4 - a["padding"], along * 4 - a["padding"]
    rows = [_inside(code, top + i, a["height"]) for i in range(6)]
    columns = [_inside(code, left + j, a["width"]) for j in range(6)]
    for i in range(6):
        for j in range(6):
            offset = ((top + i) * a["width"] + left + j) * a["inputs"]
            inside = code.all_of(rows[i], columns[j])
            pointer = code.select(inside, code.at(a["source"], offset), a["nothing"])
            code.store(pointer, places, 6 * i + j, 8)
            if gated:
                pointer = code.select(inside, code.at(a["gate"], offset), a["nothing"])
                code.store(pointer, places, 36 + 6 * i + j, 8)
    with code.loop(0, a["inputs"], LANES) as channel:
        values = []
        for k in range(36):
            value = code.load(code.load(places, k, POINTER, 8), channel)
            if gated:
                gate = code.load(code.load(places, 36 + k, POINTER, 8), channel)
                value = code.select(gate > 0.0, value, 0.0)
            values.append(value)
        for k, value in enumerate(_both_ways(values, 6, _squares_transform)):
            code.store(value, result, a["v_step"] * k + channel)


def _gather_pooled(
    code: Code, a: dict[str, Value], places: Value, down: Value, along: Value, result: Value
) -> None:
    """The same for what came back from a pooling of windows of 2×2: a square touches 4×4 of them.

    `gate` has a byte for each pooled number whose bits say which of the four get it.
    """
    high, wide = a["height"] // 2, a["width"] // 2
    top, left = down * 2 - 1, along * 2 - 1
    rows = [_inside(code, top + i, high) for i in range(4)]
    columns = [_inside(code, left + j, wide) for j in range(4)]
    for i in range(4):
        for j in range(4):
            offset = ((top + i) * wide + left + j) * a["inputs"]
            inside = code.all_of(rows[i], columns[j])
            pointer = code.select(inside, code.at(a["source"], offset), a["nothing"])
            code.store(pointer, places, 4 * i + j, 8)
            pointer = code.select(inside, code.at(a["gate"], offset, BYTE), a["nothing"])
            code.store(pointer, places, 36 + 4 * i + j, 8)
    with code.loop(0, a["inputs"], LANES) as channel:
        windows = []
        for k in range(16):
            value = code.load(code.load(places, k, POINTER, 8), channel)
            bits = code.load(code.load(places, 36 + k, POINTER, 8), channel, BYTES, 1)
            windows.append((value, bits))
        values = []
        for y in range(1, 7):
            for x in range(1, 7):
                value, bits = windows[4 * (y // 2) + x // 2]
                mine = bits & (1 << (2 * (y % 2) + x % 2))
                values.append(code.select(mine.equals(0), code.zero, value))
        for k, value in enumerate(_both_ways(values, 6, _squares_transform)):
            code.store(value, result, a["v_step"] * k + channel)


def _transform_kernels(
    code: Code, given: Value, result: Value, i: int, inputs: Value, columns: int
) -> None:
    """Row `i` of the transformed kernels of `columns` output channels.

    Args:
        code: being written.
        given: `(inputs, 9, columns)`.
        result: `(6, inputs, columns)`.
        i: 0 to 5.
        inputs: input channels.
        columns: output channels.
    """
    with code.loop(0, inputs) as channel, code.loop(0, columns, LANES) as start:
        taps = [code.load(given, channel * (9 * columns) + start + columns * k) for k in range(9)]
        row = [_kernel_transform(taps[b::3], i) for b in range(3)]
        for j in range(6):
            place = (inputs * j + channel) * columns + start
            code.store(_kernel_transform(row, j), result, place)


def _products_of(code: Code, a: dict[str, Value], products: Value, channel: Value) -> list[Value]:
    """The 4×4 results of one tile for one vector of channels, before bias and ReLU."""
    values = [code.load(products, a["m_step"] * k + channel) for k in range(36)]
    return _both_ways(values, 6, _products_transform)


def _scatter(
    code: Code,
    a: dict[str, Value],
    places: Value,
    down: Value,
    along: Value,
    products: Value,
    start: Value,
    columns: int,
    result: str,
) -> None:
    """Transforms one tile's products back; what lies beyond the border is dropped."""
    dump = code.at(a["nothing"], a["inputs"])
    top, left = down * 4, along * 4
    for i in range(4):
        for j in range(4):
            offset = ((top + i) * a["out_width"] + left + j) * a["outputs"] + start
            inside = code.all_of(top + i < a["out_height"], left + j < a["out_width"])
            pointer = code.select(inside, code.at(a["result"], offset), dump)
            code.store(pointer, places, 4 * i + j, 8)
    with code.loop(0, columns, LANES) as channel:
        values = _products_of(code, a, products, channel)
        if result == "relu":
            bias = code.load(a["bias"], start + channel)
            values = [_relu(code, value + bias) for value in values]
        for k, value in enumerate(values):
            code.store(value, code.load(places, k, POINTER, 8), channel)


def _scatter_pooled(
    code: Code,
    a: dict[str, Value],
    places: Value,
    down: Value,
    along: Value,
    products: Value,
    start: Value,
    columns: int,
    result: str,
) -> None:
    """The same, with the ReLU's results pooled."""
    dump = code.at(a["nothing"], a["inputs"])
    top, left = down * 2, along * 2
    high, wide = a["out_height"] // 2, a["out_width"] // 2
    for i in range(2):
        for j in range(2):
            offset = ((top + i) * wide + left + j) * a["outputs"] + start
            inside = code.all_of(top + i < high, left + j < wide)
            pointer = code.select(inside, code.at(a["result"], offset), dump)
            code.store(pointer, places, 2 * i + j, 8)
            pointer = code.select(inside, code.at(a["codes"], offset, BYTE), dump)
            code.store(pointer, places, 4 + 2 * i + j, 8)
    with code.loop(0, columns, LANES) as channel:
        bias = code.load(a["bias"], start + channel)
        values = [_relu(code, v + bias) for v in _products_of(code, a, products, channel)]
        for i in range(2):
            for j in range(2):
                window = [values[4 * (2 * i + y) + 2 * j + x] for y in range(2) for x in range(2)]
                pool = _largest if result == "max" else _mean
                value, bits = pool(code, window, a["factor"])
                code.store(value, code.load(places, 2 * i + j, POINTER, 8), channel)
                code.store(bits, code.load(places, 4 + 2 * i + j, POINTER, 8), channel, 1)


def _relu(code: Code, value: Value) -> Value:
    # In this form, what is not a number stays so.
    return code.select(value < 0.0, code.zero, value)


def _largest(code: Code, window: Sequence[Value], factor: Value) -> tuple[Value, Value]:
    """The maximum of four, and the bit of the first place that has it, if it is positive."""
    del factor
    best = code.greatest(code.greatest(window[0], window[1]), code.greatest(window[2], window[3]))
    bits = code.bytes(8)
    for k in (2, 1, 0):
        bits = code.select(window[k].equals(best), code.bytes(1 << k), bits)
    return best, code.select(best > 0.0, bits, code.bytes(0))


def _mean(code: Code, window: Sequence[Value], factor: Value) -> tuple[Value, Value]:
    """`factor` times the sum of four, and a bit for each that is positive."""
    total = (window[0] + window[1]) + (window[2] + window[3])
    bits = code.bytes(0)
    for k, value in enumerate(window):
        bits = bits + code.select(value > 0.0, code.bytes(1 << k), code.bytes(0))
    return total * code.splat(factor), bits
