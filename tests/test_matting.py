"""The matting Laplacian and the guided filter against their papers' formulas, window by window."""

import numpy as np
import pytest
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto import matting
from impasto.matting import MattingTerm, guided_projection

SIZES = [(1, 1), (1, 9), (9, 1), (3, 3), (8, 11)]
"""Height and width of pictures that are, but for the last, all border."""


def random_picture(
    height: int, width: int, seed: int, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Uniform noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=dtype)


def waves(height: int, width: int, phase: float) -> Tensor:
    """A smooth picture that looks the same at any size."""
    y = torch.linspace(0, 1, 2 * height + 1, dtype=torch.float64)[1::2, None]
    x = torch.linspace(0, 1, 2 * width + 1, dtype=torch.float64)[1::2]
    parts = [torch.sin(9 * x + 7 * y * k + phase * k) + torch.cos(8 * y - k * x) for k in (1, 2, 3)]
    return 0.5 + 0.2 * torch.stack(parts)[None]


def columns(picture: Tensor) -> NDArray[np.float64]:
    """Colours as `(H·W, 3)`."""
    return picture[0].flatten(1).T.double().numpy()


def windows(height: int, width: int, radius: int) -> list[list[int]]:
    """Indices of the pixels in the window of every pixel."""
    return [
        [
            j * width + i
            for j in range(max(0, y - radius), min(height, y + radius + 1))
            for i in range(max(0, x - radius), min(width, x + radius + 1))
        ]
        for y in range(height)
        for x in range(width)
    ]


def laplacian(photo: Tensor, radius: int, eps: float) -> scipy.sparse.csr_array:
    """Levin, Lischinski & Weiss's matrix for colour pictures (2006), window by window."""
    height, width = photo.shape[-2:]
    colors, size = columns(photo), height * width
    matrix = scipy.sparse.lil_array((size, size))
    for window in windows(height, width, radius):
        count = len(window)
        part = colors[window]
        centred = part - part.mean(0)
        regular = centred.T @ centred / count + eps * np.eye(3)
        entries = np.eye(count) - (1 + centred @ np.linalg.solve(regular, centred.T)) / count
        matrix[np.ix_(window, window)] += entries
    return matrix.tocsr()


def share(term: MattingTerm, picture: Tensor) -> float:
    """The term in its natural unit."""
    return term.evaluate(picture) / term.blank()


def filtered(picture: Tensor, photo: Tensor, radius: int, eps: float) -> NDArray[np.float64]:
    """The guided filter with a colour guide, by least squares in every window."""
    x, guide = columns(picture), columns(photo)
    total, count = np.zeros_like(x), np.zeros((len(x), 1))
    for window in windows(photo.shape[-2], photo.shape[-1], radius):
        n = len(window)
        # Ridge regression as a plain one: three more rows pull the slopes to the photo's own.
        left = np.block(
            [[guide[window], np.ones((n, 1))], [np.sqrt(n * eps) * np.eye(3), np.zeros((3, 1))]]
        )
        right = np.vstack([x[window], np.sqrt(n * eps) * np.eye(3)])
        fit = np.linalg.lstsq(left, right)[0]
        total[window] += guide[window] @ fit[:3] + fit[3]
        count[window] += 1
    return total / count


def matrix_of(term: MattingTerm, height: int, width: int) -> NDArray[np.float64]:
    """The term's own matrix, column by column, from its gradient."""
    size = height * width
    found = []
    for index in range(size):
        picture = torch.zeros(1, 3, height, width, dtype=torch.float64)
        picture.view(3, size)[0, index] = 1
        slope = torch.zeros_like(picture)
        term.evaluate(picture, slope)
        found.append(slope.view(3, size)[0].numpy() / 2)
    return np.stack(found, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("radius", "eps"), [(1, 1e-4), (1, 1e-7), (2, 1e-2)])
def test_term_and_gradient_are_those_of_the_papers_matrix(
    size: tuple[int, int], radius: int, eps: float
) -> None:
    """The term is `Σ xᵀ M x` with Levin's matrix, as a mean, and its slope `2 M x`; its unit is the
    photo's mean variance in a window."""
    photo, picture = random_picture(*size, seed=1), random_picture(*size, seed=2)
    matrix, x, colors = laplacian(photo, radius, eps), columns(picture), columns(photo)
    every = windows(*size, radius)
    numbers = 3 * sum(map(len, every))
    term, slope = MattingTerm(photo, radius=radius, eps=eps), torch.zeros_like(picture)
    value = term.evaluate(picture, slope)
    assert value == pytest.approx(float((x * (matrix @ x)).sum()) / numbers, rel=1e-8, abs=1e-8)
    assert columns(slope) == pytest.approx(2 * (matrix @ x) / numbers, rel=1e-8, abs=1e-8)
    variance = sum(len(window) * colors[window].var(0).sum() for window in every)
    assert term.blank() == pytest.approx(variance / numbers + eps, rel=1e-8)


def test_gradient_is_weighted_and_added() -> None:
    """A weight scales the slope, not the value, and what the gradient held before stays in it."""
    photo, picture = random_picture(5, 6, seed=3), random_picture(5, 6, seed=4)
    term = MattingTerm(photo)
    once, more = torch.zeros_like(picture), torch.full_like(picture, 0.5)
    assert (
        term.evaluate(picture, more, 3.0) == term.evaluate(picture, once) == term.evaluate(picture)
    )
    torch.testing.assert_close(more, 0.5 + 3 * once)


def test_matrix_is_symmetric_and_positive_semidefinite() -> None:
    """No picture has a negative term, flat pictures have none, and pixels pull alike."""
    matrix = matrix_of(MattingTerm(random_picture(5, 6, seed=5), eps=1e-4), 5, 6)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12
    assert np.abs(matrix.sum(1)).max() < 1e-12


def test_locally_affine_pictures_cost_nothing() -> None:
    """Where an edge of the photo parts two areas, each may have an affine map of its own."""
    red, blue = torch.zeros(2, 1, 3, 12, 7, dtype=torch.float64)
    red[:, 0] = random_picture(12, 7, seed=6)[:, 0]
    blue[:, 1], blue[:, 2] = 1, random_picture(12, 7, seed=7)[:, 2]
    photo = torch.cat([red, blue], 3)
    one, other = torch.tensor([[[0.3, -2.0, 0.7], [0.1, 0.6, 0.2]]]).double().unbind(1)
    left = one[..., None, None] * red[:, :1] + 0.4
    right = other[..., None, None] * blue[:, 2:] - 0.1
    picture = torch.cat([left, right], 3)
    assert MattingTerm(photo, eps=1e-12).evaluate(picture) == pytest.approx(0, abs=1e-9)
    assert share(MattingTerm(photo, eps=1e-12), picture.flip(3)) > 0.1
    filtering = guided_projection(picture, photo, radius=2, eps=1e-12)
    torch.testing.assert_close(filtering, picture, rtol=0, atol=1e-8)


def test_foreign_texture_costs_about_one() -> None:
    """A picture that varies like the photo but elsewhere loses all that chance does not explain:
    of a window's 9 pixels 4 parameters take their share."""
    photo, picture = random_picture(60, 60, seed=8), random_picture(60, 60, seed=9)
    assert share(MattingTerm(photo, radius=1), picture) == pytest.approx(5 / 8, abs=0.05)
    assert share(MattingTerm(photo, radius=4), picture) == pytest.approx(77 / 80, abs=0.05)


def test_term_means_the_same_at_every_size() -> None:
    """The same two pictures, with twice as many pixels along each side, have the same term."""
    small, large = (share(MattingTerm(waves(s, s, 0)), waves(s, s, 2)) for s in (256, 512))
    assert small > 1e-4
    assert large == pytest.approx(small, rel=0.25)


@pytest.mark.parametrize("radius", [1, 3])
def test_strips_equal_the_whole(radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that is gone through in strips of rows has the same term, slope and filtering."""
    photo, picture = random_picture(61, 5, seed=10), random_picture(61, 5, seed=11)

    def everything() -> tuple[float, Tensor, Tensor, Tensor]:
        slope = torch.zeros_like(picture)
        value = MattingTerm(photo, radius=radius).evaluate(picture, slope)
        whole = guided_projection(picture, photo, radius=radius, eps=1e-3)
        return value, slope, whole, guided_projection(picture, photo, radius=1, eps=1e-3, side=23)

    value, *whole = everything()
    monkeypatch.setattr(matting, "STRIP_POSITIONS", 5)
    assert len(list(matting._strips(61, 5, radius))) > 4
    again, *strips = everything()
    assert again == pytest.approx(value, rel=1e-12)
    for a, b in zip(whole, strips, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("radius", "eps"), [(1, 1e-3), (3, 1e-2)])
def test_projection_is_the_guided_filter(size: tuple[int, int], radius: int, eps: float) -> None:
    """The projection is He, Sun & Tang's filter, drawn to the photo: means of what every window's
    own fit says."""
    photo, picture = random_picture(*size, seed=12), random_picture(*size, seed=13)
    result = guided_projection(picture, photo, radius=radius, eps=eps)
    assert columns(result) == pytest.approx(filtered(picture, photo, radius, eps), abs=1e-10)


def test_single_precision_suffices() -> None:
    """In float32 a photo of hardly any colour, whose windows' covariances are nearly singular, has
    the float64 result."""
    photo = waves(40, 50, 0)[:, :1].expand(1, 3, 40, 50) + 1e-3 * random_picture(40, 50, seed=14)
    picture = waves(40, 50, 1)
    wanted, slope = torch.zeros_like(picture), torch.zeros_like(picture).float()
    value = MattingTerm(photo).evaluate(picture, wanted)
    assert MattingTerm(photo.float()).evaluate(picture.float(), slope) == pytest.approx(
        value, rel=1e-2
    )
    assert float((slope - wanted).norm() / wanted.norm()) < 1e-2
    exact = guided_projection(picture, photo, radius=4, eps=1e-4)
    single = guided_projection(picture.float(), photo.float(), radius=4, eps=1e-4)
    assert float((single - exact).abs().max()) < 1e-3


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_photos_do_no_harm(value: float) -> None:
    """A photo of one colour has no edges: the term is the picture's variance, its unit ε, and the
    filtering two plain means."""
    photo = torch.full((1, 3, 7, 8), value, dtype=torch.float64)
    picture = random_picture(7, 8, seed=15)
    x, every = columns(picture), windows(7, 8, 1)
    means = np.stack([x[window].mean(0) for window in every])
    twice = np.stack([means[window].mean(0) for window in every])
    result = guided_projection(picture, photo, radius=1, eps=1e-3)
    assert columns(result) == pytest.approx(twice, abs=1e-12)
    variance = sum(x[window].var(0).sum() * len(window) for window in every)
    term = MattingTerm(photo, radius=1, eps=1e-5)
    assert term.evaluate(picture) == pytest.approx(variance / (3 * sum(map(len, every))), rel=1e-8)
    assert term.blank() == pytest.approx(1e-5, rel=1e-8)


def test_pictures_that_are_not_finite_have_no_value() -> None:
    """Whatever is not finite in a picture makes the term NaN, which a run knows how to handle."""
    photo, picture = random_picture(6, 7, seed=18), random_picture(6, 7, seed=19)
    for value in (float("nan"), float("inf")):
        picture[..., 3, 3] = value
        assert np.isnan(MattingTerm(photo).evaluate(picture))


def test_projection_takes_texture_away_and_leaves_edges() -> None:
    """Of a recoloured photo under a foreign texture, the recoloured photo comes back, edge and
    all."""
    photo = waves(48, 64, 0)
    photo[..., 30:] += 0.3
    recolored = 0.6 * photo.flip(1) + 0.1
    texture = 0.1 * (random_picture(48, 64, seed=16) - 0.5)
    result = guided_projection(recolored + texture, photo, radius=8, eps=1e-4)
    error = result - recolored
    assert float(error.square().mean()) < 0.05 * float(texture.square().mean())
    edge, wanted = (one[..., 30] - one[..., 29] for one in (result, recolored))
    torch.testing.assert_close(edge, wanted, rtol=0, atol=0.03)


def test_projection_at_a_reduced_size_is_nearly_the_same() -> None:
    """Coefficients that were fitted to smaller pictures keep the detail of the photo at its size:
    of one global map nothing is lost, and of a change of light little."""
    photo = waves(60, 80, 0) + 0.2 * random_picture(60, 80, seed=17)
    recolored = 0.6 * photo.flip(1) + 0.1
    fast = guided_projection(recolored, photo, radius=3, eps=1e-12, side=20)
    torch.testing.assert_close(fast, recolored, rtol=0, atol=1e-6)
    light = torch.linspace(0.3, 1.0, 80, dtype=torch.float64)
    fast = guided_projection(recolored * light, photo, radius=3, eps=1e-4, side=20)
    assert float((fast - recolored * light).abs().mean()) < 0.02
