"""Transfer networks strip by strip, against the whole network by torch and a closed form."""

import pytest
import torch
from torch import Tensor

from impasto.convolution.running import Engine, engine
from impasto.networks import Shape, Transfer
from impasto.onepass import OnePass
from small_networks import with_rim
from tiny_networks import TINY

SIDES = [(9, 9), (16, 16), (17, 40), (33, 50), (64, 64), (65, 23), (3, 70)]
FORMATS = [(torch.float64, 1e-10), (torch.float32, 1e-5)]


def made(dtype: torch.dtype, shape: Shape = TINY) -> tuple[Transfer, Tensor]:
    """A random network and a random style."""
    torch.manual_seed(0)
    transfer = Transfer(shape).to(dtype).requires_grad_(False)
    return transfer, 0.3 * torch.randn(1, shape.vector, dtype=dtype)


@pytest.mark.parametrize("kept", [0, 10**9], ids=["computed twice", "kept"])
@pytest.mark.parametrize("strip", [64, 1000, 10**6])
@pytest.mark.parametrize(("dtype", "tolerance"), FORMATS, ids=["float64", "float32"])
def test_strips_give_what_the_whole_gives(
    dtype: torch.dtype, tolerance: float, strip: int, kept: int
) -> None:
    """No size of strips, and no odd size of picture, changes a number beyond rounding."""
    transfer, style = made(dtype)
    one = OnePass(transfer, dtype=dtype, strip=strip, kept=kept)
    for height, width in SIDES:
        photo = torch.rand(1, 3, height, width, dtype=dtype)
        found = one(photo, style)
        assert found.shape == photo.shape
        # Deviations of four numbers magnify rounding.
        room = 10 if max(height, width) <= 16 else 1
        assert (found - transfer(photo, style)).abs().max() <= room * tolerance, (height, width)


@pytest.mark.parametrize("strip", [64, 1000, 10**6])
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (9, 9), (33, 50), (40, 8)])
def test_a_rim_is_seen_and_cut_off(size: tuple[int, int], strip: int) -> None:
    """A photo whose rim is mirrored on its way in becomes, to the last bit, what NumPy's extended
    one becomes, without its rim, be it smaller than that or not."""
    transfer, style = made(torch.float32)
    one = OnePass(transfer, strip=strip)
    photo = torch.rand(1, 3, *size)
    expected = one(with_rim(photo), style)[..., 8:-8, 8:-8]
    assert torch.equal(one(photo, style, 8), expected)


@pytest.mark.parametrize("strip", [64, 10**6])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (9, 9), (40, 33)])
@pytest.mark.parametrize(("dtype", "tolerance"), FORMATS, ids=["float64", "float32"])
def test_flat_pictures_stay_flat(
    dtype: torch.dtype, tolerance: float, height: int, width: int, strip: int
) -> None:
    """Of a picture of one colour every normalised map is the style's shift: rounding does not
    become a pattern, though its variance is all that there is to divide by."""
    transfer, style = made(dtype, Shape((8, 8, 16), 2, (8, 8, 8)))
    photo = torch.full((1, 3, height, width), 0.37, dtype=dtype)
    shift = torch.relu(transfer.scales_and_shifts(style)[-1][1][0])
    last = torch.einsum("ocij,c->o", transfer.kernels[-1], shift)
    expected = torch.sigmoid(last + transfer.bias).view(1, 3, 1, 1)
    found = OnePass(transfer, dtype=dtype, strip=strip)(photo, style)
    assert (found - expected).abs().max() <= tolerance


@pytest.fixture
def compiled() -> Engine:
    """The compiled kernels, where they work on more than sixteen channels at a time."""
    found = engine()
    if found is None or found.columns(32) < 32:
        pytest.skip("needs llvmlite and AVX-512")
    return found


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("strip", [1000, 10**6])
def test_compiled_kernels_give_what_float64_gives(strip: int) -> None:
    """Residual blocks by the compiled convolution, in strips or whole, differ from torch in float64
    by no more than float32 does, and are really run by it."""
    shape = Shape((8, 16, 32), 2, (16, 8, 8))
    transfer, style = made(torch.float64, shape)
    narrow, _ = made(torch.float32, shape)
    narrow.load_state_dict({k: v.float() for k, v in transfer.state_dict().items()})
    fast = OnePass(narrow, strip=strip)
    plain = OnePass(narrow, strip=strip, fast=False)
    differs = False
    for height, width in SIDES[2:]:
        photo = torch.rand(1, 3, height, width)
        expected = transfer(photo.double(), style)
        found = fast(photo, style.float())
        assert (found.double() - expected).abs().max() < 3e-5, (height, width)
        differs = differs or not torch.equal(found, plain(photo, style.float()))
    assert differs


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(("height", "width"), [(9, 9), (40, 33), (96, 131)])
@pytest.mark.parametrize("level", [0.37, 1.0])
def test_flat_pictures_stay_flat_by_compiled_kernels(height: int, width: int, level: float) -> None:
    """Winograd's method, which rounds the places of a tile differently, makes no pattern of them
    either."""
    transfer, style = made(torch.float32, Shape((32, 32, 64), 3, (32, 32, 16)))
    photo = torch.full((1, 3, height, width), level)
    shift = torch.relu(transfer.scales_and_shifts(style)[-1][1][0])
    last = torch.einsum("ocij,c->o", transfer.kernels[-1], shift)
    expected = torch.sigmoid(last + transfer.bias).view(1, 3, 1, 1)
    found = OnePass(transfer, strip=4000)(photo, style)
    assert (found - expected).abs().max() <= 1e-5


def test_nearly_flat_maps_keep_their_variance() -> None:
    """A faint pattern on a bright ground, whose variance E[x²] − E[x]² would lose in float32, gives
    what float64 gives."""
    torch.manual_seed(3)
    photo = 0.9 + 2e-3 * torch.rand(1, 3, 40, 48)
    transfer, style = made(torch.float64)
    expected = transfer(photo.double(), style)
    narrow, _ = made(torch.float32)
    narrow.load_state_dict({k: v.float() for k, v in transfer.state_dict().items()})
    found = OnePass(narrow, strip=1000)(photo, style.float())
    assert (found.double() - expected).abs().max() < 2e-3


def test_pictures_of_many_sizes_share_one_memory() -> None:
    """What is left of one picture is not seen in the next, be it smaller or larger."""
    transfer, style = made(torch.float32)
    one = OnePass(transfer, strip=1000)
    photos = [torch.rand(1, 3, side, 50 - side) for side in (40, 10, 33, 24)]
    for photo in photos:
        assert torch.equal(one(photo, style), OnePass(transfer, strip=1000)(photo, style))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near(dtype: torch.dtype) -> None:
    """In 16 bits, with statistics in 32, the picture stays what it is but for grain."""
    transfer, style = made(torch.float32)
    photo = torch.rand(1, 3, 48, 40)
    found = OnePass(transfer, dtype=dtype)(photo, style)
    assert found.dtype == torch.float32
    assert (found - transfer(photo, style)).abs().mean() < 0.02
