"""The ground that every style is drawn on: relative coordinates, seeded noise, colour and light.

Lengths are relative: one unit is the square root of the picture's area, so a drawing has the same
composition at every size, and its cost depends on the number of pixels alone. Random numbers are
drawn in an order that does not depend on the size either.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from impasto.color import oklab_to_srgb, srgb_to_oklab

Array = NDArray[np.floating]
Labels = NDArray[np.int32]
Field = Callable[[Array, Array], Array]


def oklab(colors: Sequence[str]) -> Array:
    """Oklab coordinates `(n, 3)` of sRGB colours written `#rrggbb`."""
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colors], np.float32) / 255
    return srgb_to_oklab(rgb.T).T


def srgb(lab: Array) -> Array:
    """Converts Oklab colours `(..., 3)` to sRGB in [0, 1]; what is outside the gamut is clipped."""
    colors = oklab_to_srgb(lab.astype(np.float32, copy=False).reshape(-1, 3).T)
    return np.ascontiguousarray(colors.clip(0, 1).T).reshape(lab.shape)


def ramp(colors: Sequence[str], t: ArrayLike) -> Array:
    """Oklab colours `(..., 3)` at `t` in [0, 1] along evenly spaced colours."""
    stops = oklab(colors)
    position = np.clip(np.asarray(t, np.float32), 0, 1) * (len(stops) - 1)
    low = np.minimum(position.astype(np.int32), len(stops) - 2)
    part = (position - low)[..., None]
    return stops[low] * (1 - part) + stops[low + 1] * part


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def blur(picture: Array, sigma: float) -> Array:
    """Gaussian blur of `(H, W)` or `(H, W, n)`, `sigma` in pixels."""
    if sigma < 0.2:
        return picture
    import pyvips

    image = pyvips.Image.new_from_array(np.ascontiguousarray(picture))
    out = image.gaussblur(sigma, precision="float", min_ampl=0.02).numpy()
    return np.asarray(out, np.float32).reshape(picture.shape)


def shrink(picture: Array, width: int, height: int) -> Array:
    """Resamples `(H, W, 3)` to `(height, width, 3)`."""
    if picture.shape[:2] == (height, width):
        return picture
    import pyvips

    image = pyvips.Image.new_from_array(np.ascontiguousarray(picture))
    # a Lanczos kernel of radius 2 keeps the bristles crisp with little ringing
    out = image.resize(width / image.width, vscale=height / image.height, kernel="lanczos2")
    return np.asarray(out.numpy(), np.float32).reshape(height, width, 3)


class Canvas:
    """A working surface of `width` × `height` pixels.

    Attributes:
        extent: width and height in relative units; their product is 1.
        unit: pixels per relative unit.
        x: column coordinates `(1, W)` of the pixel centres, relative.
        y: row coordinates `(H, 1)` of the pixel centres, relative.
        rng: the one source of random numbers.
    """

    def __init__(self, width: int, height: int, aspect: float, rng: np.random.Generator) -> None:
        self.width, self.height, self.rng = width, height, rng
        self.extent = (aspect**0.5, aspect**-0.5)
        self.unit = (width * height) ** 0.5
        self.x = ((np.arange(width, dtype=np.float32) + 0.5) * (self.extent[0] / width))[None, :]
        self.y = ((np.arange(height, dtype=np.float32) + 0.5) * (self.extent[1] / height))[:, None]

    def grid(self) -> tuple[Array, Array]:
        """Full coordinate pictures x and y, each `(H, W)`."""
        shape = (self.height, self.width)
        return np.broadcast_to(self.x, shape).copy(), np.broadcast_to(self.y, shape).copy()

    def scatter(self, spacing: float, jitter: float = 1.0, margin: float = 0.0) -> Array:
        """Points `(n, 2)` of a jittered grid in random order, reaching `margin` past the edge."""
        columns = np.arange(-margin, self.extent[0] + margin + spacing, spacing)
        rows = np.arange(-margin, self.extent[1] + margin + spacing, spacing)
        points = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
        points += (self.rng.random(points.shape) - 0.5) * spacing * jitter
        return self.rng.permutation(points).astype(np.float32)

    def field(self, frequency: float, octaves: int = 1, gain: float = 0.5) -> Field:
        """A random smooth function of relative coordinates, about in [-1, 1].

        Gradient noise (K. Perlin, "Improving noise", 2002) in `octaves` octaves, the first with
        `frequency` cells per unit, each next one twice as fine and `gain` times as strong.
        """
        angle = self.rng.random((octaves, 1 << 14)) * (2 * np.pi)
        gradients = np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)
        offsets = self.rng.random((octaves, 2)).astype(np.float32) * 100 + 200
        norm = 1.6 / sum(gain ** (2 * k) for k in range(octaves)) ** 0.5

        def evaluate(x: Array, y: Array) -> Array:
            total = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
            for k in range(octaves):
                scale = np.float32(frequency * 2**k)
                layer = _gradient_noise(
                    x * scale + offsets[k, 0], y * scale + offsets[k, 1], gradients[k]
                )
                total += layer * np.float32(norm * gain**k)
            return total

        return evaluate

    def noise(
        self, frequency: float, octaves: int = 1, gain: float = 0.5, stretch: float = 1.0
    ) -> Array:
        """A picture `(H, W)` of smooth noise, about standard normal.

        Cubic B-splines through random lattices. Octaves finer than the pixels are left out.
        `stretch` > 1 makes the grain that many times longer along x.
        """
        total = np.zeros((self.height, self.width), np.float32)
        for k in range(octaves):
            fx, fy = frequency * 2**k / stretch, frequency * 2**k
            shape = (int(self.extent[1] * fy) + 5, int(self.extent[0] * fx) + 5)
            lattice = self.rng.standard_normal(shape, np.float32)
            if k == 0 or fy < 0.6 * self.unit:
                # 2.07 undoes what the spline's averaging takes off the deviation
                total += spline(spline(lattice, self.y[:, 0] * fy).T, self.x[0] * fx).T * (
                    2.07 * gain**k
                )
        return total / np.float32(sum(gain ** (2 * k) for k in range(octaves)) ** 0.5)

    def cells(
        self, x: Array, y: Array, spacing: float, margin: int = 4
    ) -> tuple[Labels, Array, Array]:
        """Voronoi cells of a jittered grid: number of the cell, distance to its border, centres.

        S. Worley, "A cellular texture basis function", SIGGRAPH 1996; the distance is measured to
        the bisector with each neighbour, so that borders have the same width everywhere. `x` and
        `y` may leave the canvas by `margin` - 2 cells.
        """
        columns = int(self.extent[0] / spacing) + 2 * margin + 1
        rows = int(self.extent[1] / spacing) + 2 * margin + 1
        seeds = self.rng.random((rows, columns, 2), np.float32) * 0.9 + 0.05
        seeds += np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1)
        seeds = seeds.reshape(-1, 2).astype(np.float32)
        # the margin on each side keeps warped coordinates inside the table
        gx, gy = x / np.float32(spacing) + margin, y / np.float32(spacing) + margin
        column = np.clip(gx.astype(np.int32), 2, columns - 3)
        row = np.clip(gy.astype(np.int32), 2, rows - 3)
        home = row * columns + column
        best = np.full(gx.shape, 1e9, np.float32)
        number = np.zeros(gx.shape, np.int32)
        for step in [dy * columns + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
            near = home + step
            away = (seeds[near, 0] - gx) ** 2 + (seeds[near, 1] - gy) ** 2
            closer = away < best
            best = np.where(closer, away, best)
            number = np.where(closer, near, number)
        px, py = seeds[number, 0], seeds[number, 1]
        border = np.full(gx.shape, 9.0, np.float32)
        for step in [dy * columns + dx for dy in (-2, -1, 0, 1, 2) for dx in (-2, -1, 0, 1, 2)]:
            near = np.clip(home + step, 0, len(seeds) - 1)
            qx, qy = seeds[near, 0], seeds[near, 1]
            dx, dy = qx - px, qy - py
            length = np.sqrt(dx * dx + dy * dy)
            away = ((px + qx) / 2 - gx) * dx + ((py + qy) / 2 - gy) * dy
            border = np.minimum(border, np.where(length > 1e-6, away / (length + 1e-9), 9.0))
        return number, border * np.float32(spacing), (seeds - margin) * np.float32(spacing)

    def light(self, height: Array, softness: float = 0.0007, angle: float = 2.2) -> Array:
        """Slope `(H, W)` of a relief towards a light at `angle` (radians, y up); 0 is flat.

        `height` is in relative units; `softness` is the blur, relative, that rounds its edges.
        """
        smooth = blur(height, softness * self.unit)
        down, right = np.zeros_like(smooth), np.zeros_like(smooth)
        if smooth.shape[0] > 1:
            down = np.gradient(smooth, axis=0)
        if smooth.shape[1] > 1:
            right = np.gradient(smooth, axis=1)
        slope = np.float32(np.sin(angle)) * down - np.float32(np.cos(angle)) * right
        return slope * np.float32(self.unit)


def shade(color: Array, slope: Array, strength: float = 0.5, gloss: float = 0.15) -> Array:
    """Lights an sRGB picture `(H, W, 3)` by the slope of its relief, with a glint of `gloss`."""
    lit = np.tanh(slope)[..., None] * np.float32(strength)
    out = np.where(lit > 0, color + (1 - color) * lit * 0.55, color * (1 + lit))
    return out + np.float32(gloss) * smoothstep(0.75, 1.6, slope)[..., None]


def spline(lattice: Array, position: Array) -> Array:
    """Uniform cubic B-spline along axis 0 of `lattice`, at `position` in lattice steps."""
    base = position.astype(np.int32)
    t = (position - base).astype(np.float32)
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    out = lattice[base] * weights[0][:, None]
    for k in (1, 2, 3):
        out += lattice[base + k] * weights[k][:, None]
    return out


def _gradient_noise(x: Array, y: Array, gradients: Array) -> Array:
    """Perlin's noise at `x`, `y` (positive, in cells) with gradients `(2**14, 2)`."""
    x, y = np.broadcast_arrays(x, y)
    column, row = x.astype(np.int32), y.astype(np.int32)
    u, v = x - column, y - row
    fade_u, fade_v = u * u * u * (u * (u * 6 - 15) + 10), v * v * v * (v * (v * 6 - 15) + 10)

    def corner(dx: int, dy: int) -> Array:
        # two odd multipliers spread neighbouring cells over the table
        code = ((column + dx) * 7919 + (row + dy) * 104729) & (len(gradients) - 1)
        return gradients[code, 0] * (u - dx) + gradients[code, 1] * (v - dy)

    top = corner(0, 0)
    top += fade_u * (corner(1, 0) - top)
    bottom = corner(0, 1)
    bottom += fade_u * (corner(1, 1) - bottom)
    return top + fade_v * (bottom - top)
