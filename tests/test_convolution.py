"""The compiled convolution against float64, and the choice between it and torch."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.convolution import (
    Convolution,
    Entrance,
    add_product,
    blank_like,
    fast_pays,
    fast_products_pay,
    raw_moments,
    running,
    tuning,
)
from impasto.features import Features
from impasto.images import read_image, resize_image
from impasto.options import make_options
from impasto.run import stylization
from impasto.samples import sample_path
from impasto.weights import Weights, load_weights
from stand_ins import narrow_weights

VGG19 = [f"relu{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n + 1)]

needs_compiler = pytest.mark.skipif(running.engine() is None, reason="needs the extra 'fast'")
sides = st.integers(1, 40)
channels = st.integers(1, 40)


def some_layer(inputs: int, outputs: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A random kernel and bias in float64 that keep the scale of what they are given."""
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.randn(outputs, inputs, 3, 3, generator=generator, dtype=torch.float64)
    bias = torch.randn(outputs, generator=generator, dtype=torch.float64)
    return kernel / (9 * inputs) ** 0.5, bias / 4


def some_map(count: int, height: int, width: int, seed: int = 1) -> Tensor:
    """Noise `(1, C, H, W)` in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, count, height, width, generator=generator, dtype=torch.float64)


def fast_layer(kernel: Tensor, bias: Tensor) -> Convolution:
    """A compiled convolution in float32."""
    layer = Convolution(kernel.float(), bias.float(), fast=True)
    assert layer.fast
    return layer


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Equal up to a share of the whole's size."""
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    error = float((found.double() - expected).norm())
    assert error <= tolerance * float(expected.norm()) + 1e-30


@needs_compiler
@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    height=sides, width=sides, inputs=channels, outputs=channels, padding=st.sampled_from([0, 1])
)
def test_any_shape_is_the_definition(
    height: int, width: int, inputs: int, outputs: int, padding: int
) -> None:
    """Forward and backward agree with float64 for every size, number of channels and padding."""
    if padding == 0:
        height, width = height + 2, width + 2
    kernel, bias = some_layer(inputs, outputs)
    x = some_map(inputs, height, width).requires_grad_()
    expected = F.conv2d(x, kernel, bias, padding=padding).relu()
    slope = some_map(outputs, *expected.shape[-2:], seed=2)
    (expected_slope,) = torch.autograd.grad(expected, x, slope)

    own = x.detach().float().requires_grad_()
    found = fast_layer(kernel, bias)(own, padding)
    (found_slope,) = torch.autograd.grad(found, own, slope.float())
    assert_close(found.detach(), expected.detach())
    assert_close(found_slope, expected_slope)


@needs_compiler
@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    inputs=channels,
    outputs=channels,
    kind=st.sampled_from(["max", "average"]),
)
def test_pooling_on_the_way_is_pooling_afterwards(
    height: int, width: int, inputs: int, outputs: int, kind: str
) -> None:
    """The pooled result and its gradient are those of convolution, ReLU and pooling in a row."""
    kernel, bias = some_layer(inputs, outputs)
    x = some_map(inputs, height, width).requires_grad_()
    features = F.conv2d(x, kernel, bias, padding=1).relu()
    expected = F.max_pool2d(features, 2) if kind == "max" else 1.4 * F.avg_pool2d(features, 2)
    slope = some_map(outputs, height // 2, width // 2, seed=2)
    (expected_slope,) = torch.autograd.grad(expected, x, slope)

    own = x.detach().float().requires_grad_()
    found = fast_layer(kernel, bias).pooled(own, kind, 1.4)
    (found_slope,) = torch.autograd.grad(found, own, slope.float())
    assert_close(found.detach(), expected.detach())
    assert_close(found_slope, expected_slope)


@needs_compiler
@pytest.mark.parametrize("channels", [(64, 128), (128, 64), (256, 256)])
def test_wide_layers_are_the_definition(channels: tuple[int, int]) -> None:
    """The widths of real layers, which are worked on in blocks, agree with float64 as well."""
    kernel, bias = some_layer(*channels)
    x = some_map(channels[0], 27, 46).requires_grad_()
    expected = F.conv2d(x, kernel, bias, padding=1).relu()
    (expected_slope,) = torch.autograd.grad(expected, x, expected.detach())
    own = x.detach().float().requires_grad_()
    found = fast_layer(kernel, bias)(own)
    (found_slope,) = torch.autograd.grad(found, own, expected.detach().float())
    assert_close(found.detach(), expected.detach())
    assert_close(found_slope, expected_slope)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets torch's number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@needs_compiler
def test_threads_do_not_change_a_bit(threads: Callable[[int], None]) -> None:
    """Whoever works on which part, results and gradients are the same bytes."""
    layer = fast_layer(*some_layer(64, 64))
    x = some_map(64, 75, 130).float()
    results = []
    for count in (1, 2, 5, 2):
        threads(count)
        own = x.clone().requires_grad_()
        found = layer(own)
        results.append((found.detach(), *torch.autograd.grad(found, own, found.detach())))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@needs_compiler
def test_whose_threads_do_not_change_a_bit(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where torch's own threads cannot be had, as in a forked process, others do the same work."""
    threads(2)
    layer = fast_layer(*some_layer(64, 64))
    x = some_map(64, 75, 130).float()
    found = layer(x)
    assert sys.platform != "linux" or running._team() is not None
    monkeypatch.setattr(running, "_PROCESS", -1)
    running._workers.cache_clear()
    assert torch.equal(found, layer(x))
    assert os.cpu_count() == 1 or running._workers.cache_info().currsize == 1


ANYWHERE = """
import hashlib, threading
import torch
from impasto.convolution import Convolution

torch.set_num_threads(4)
torch.manual_seed(0)
layer = Convolution(torch.randn(64, 64, 3, 3), torch.randn(64), fast=True)
x = torch.randn(1, 64, 60, 70).contiguous(memory_format=torch.channels_last)
found = [None] * 3

def work(place):
    found[place] = hashlib.sha256(layer(x).contiguous().numpy().tobytes()).hexdigest()

others = [threading.Thread(target=work, args=(place,)) for place in (1, 2)]
for other in others:
    other.start()
work(0)
for other in others:
    other.join()
print(*found)
"""


@needs_compiler
def test_wherever_threads_come_from_they_do_not_change_a_bit() -> None:
    """Fewer threads than asked for, and several that ask at once, give the same bytes."""
    found = set[str]()
    for environment in ({}, {"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"}):
        done = subprocess.run(
            [sys.executable, "-c", ANYWHERE],
            env={**os.environ, "OMP_NUM_THREADS": "4", **environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        found.update(done.stdout.split())
    assert len(found) == 1


@needs_compiler
@pytest.mark.parametrize("kind", ["", "max", "average"])
def test_what_is_not_a_number_stays_visible(kind: str) -> None:
    """A picture that went wrong gives features that are wrong to see, not zeros."""
    layer = fast_layer(*some_layer(16, 16))
    x = some_map(16, 24, 24).float()
    x[0, 3, 9, 10] = float("nan")
    found = layer.pooled(x, kind, 1.0) if kind else layer(x)
    assert bool(found.isnan().any())


def all_fast_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products are compiled wherever they can be."""
    monkeypatch.setattr("impasto.convolution.products.fast_products_pay", lambda _: True)


@needs_compiler
@settings(deadline=None, derandomize=True, max_examples=40)
@given(height=sides, width=sides, margin=st.integers(0, 1), bgr=st.booleans())
def test_the_entrance_is_the_definition(height: int, width: int, margin: int, bgr: bool) -> None:
    """Pictures get the network's order, range and mean and a repeated edge, whose slope goes back
    to the pixels that it repeats."""
    picture = some_map(3, height, width).requires_grad_()
    factors = some_map(1, 3, 2)[0, 0]
    order = [2, 1, 0] if bgr else [0, 1, 2]
    expected = picture[:, order] * factors[:, :1, None] + factors[:, 1:, None]
    expected = F.pad(expected, (margin,) * 4, mode="replicate")
    own = picture.detach().float().requires_grad_()
    found = Entrance(factors, order, margin)(own)
    assert found.shape[1] == 16
    assert_close(found[:, :3].detach(), expected.detach())
    assert not bool(found[:, 3:].any())
    slope = some_map(16, *found.shape[-2:], seed=3)
    (backward,) = torch.autograd.grad(found, own, slope.float())
    (wanted,) = torch.autograd.grad(expected, picture, slope[:, :3])
    assert_close(backward, wanted)


def rows_of(features: Tensor) -> Tensor:
    """`(positions, C)`."""
    return features[0].permute(1, 2, 0).reshape(-1, features.shape[1])


@needs_compiler
@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 300),
    margins=st.tuples(*[st.integers(0, 3)] * 4),
    channels=st.sampled_from([16, 48, 64, 128, 192]),
)
def test_products_are_the_definition(
    height: int, width: int, margins: tuple[int, ...], channels: int
) -> None:
    """Sums and products agree with float64 for maps of any size and for windows of them, and touch
    nothing beyond the window."""
    top, bottom, left, right = margins
    shape = (channels, top + height + bottom, left + width + right)
    own = (..., slice(top, top + height), slice(left, left + width))
    features, result = some_map(*shape), some_map(*shape, seed=2)
    matrix, constant = some_map(1, channels, channels)[0, 0], some_map(1, 1, channels)[0, 0, 0]
    last = {"memory_format": torch.channels_last}
    found, given = result.float().contiguous(**last), features.float().contiguous(**last)
    with pytest.MonkeyPatch.context() as monkeypatch:
        all_fast_products(monkeypatch)
        first, second = raw_moments(given[own], fast=True)
        add_product(found[own], given[own], matrix.float(), constant.float(), fast=True)
    rows = rows_of(features[own])
    assert_close(first, rows.sum(0), 1e-5)
    assert_close(second, rows.T @ rows, 1e-6)
    assert torch.equal(second, second.T)
    product = torch.einsum("nchw,cd->ndhw", features, matrix) + constant[:, None, None]
    result[own] += product[own]
    assert_close(found, result, 1e-6)


@needs_compiler
def test_threads_do_not_change_a_bit_of_products(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums over positions have one order, however many threads share them."""
    all_fast_products(monkeypatch)
    features = some_map(64, 53, 97).float().contiguous(memory_format=torch.channels_last)
    matrix, constant = some_map(1, 64, 64)[0, 0].float(), torch.ones(64)
    found = []
    for count in (1, 2, 5, 2):
        threads(count)
        sums = torch.zeros_like(features)
        add_product(sums, features, matrix, constant, fast=True)
        found.append((*raw_moments(features, fast=True), sums))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_products_that_kernels_cannot_take_are_torchs() -> None:
    """Gradients, float64 and maps in another order get what torch gives, to the last bit."""
    exact = some_map(64, 20, 15).contiguous(memory_format=torch.channels_last)
    plain = exact.float()
    rows = rows_of(plain)
    asked = plain.clone().requires_grad_()
    (slope,) = torch.autograd.grad(raw_moments(asked, fast=True)[1].sum(), asked)
    torch.testing.assert_close(rows_of(slope), 2 * rows.sum(1, keepdim=True).expand_as(rows))
    for features in (exact, exact.contiguous(), plain.contiguous(), plain[..., ::2]):
        rows = rows_of(features)
        assert torch.equal(raw_moments(features, fast=True)[1], rows.T @ rows)
        matrix, constant = torch.eye(64).to(features), torch.ones(64).to(features)
        sums = torch.zeros_like(features)
        add_product(sums, features, matrix, constant, fast=True)
        assert torch.equal(sums, features + 1)
    rows = rows_of(plain)
    assert torch.equal(raw_moments(plain, fast=False)[1], rows.T @ rows)


@pytest.mark.parametrize("side", [3, 130])
def test_blank_maps_are_zeros(side: int) -> None:
    """Whether the memory is torch's or comes in large pages, a blank map is blank."""
    like = some_map(64, side, side + 1).float()
    blank = blank_like(like)
    assert blank.shape == like.shape
    assert blank.is_contiguous(memory_format=torch.channels_last)
    assert not bool(blank.any())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch hands out all memory")
def test_more_memory_than_there_is_is_told_as_such() -> None:
    """A result that no memory can hold raises what the engine tells its user about."""
    with pytest.raises(MemoryError):
        running.room((1 << 45,), torch.float32)


def photo(width: int, height: int) -> Tensor:
    """A sample photo as the engine has it."""
    pixels = resize_image(read_image(sample_path("coffee")), width, height).pixels
    return torch.from_numpy(np.ascontiguousarray(pixels))[None]


def all_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network has compiled convolutions only, whatever the machine would choose."""
    from impasto import features

    monkeypatch.setattr(features, "fast_pays", lambda _inputs, _outputs: True)


def reference_gradient(
    features: Features, weights: Weights, found: dict[str, Tensor], picture: Tensor, slope: Tensor
) -> Tensor:
    """The gradient in float64, with ReLUs open where they were in `found`.

    Rounding opens or shuts a ReLU now and then, in any arithmetic; its gradient then jumps.
    """
    x = picture.double().requires_grad_()
    scale = Features(weights, pooling="average", dtype=torch.float64)
    seen = scale.preprocess(x)
    for name in found:
        kernel, bias = (weights.tensors[f"conv{name[4:]}.{p}"].double() for p in ("weight", "bias"))
        if name == "relu1_1":
            seen = F.pad(seen, (1, 1, 1, 1), mode="replicate")
        elif name.endswith("_1"):
            seen = features.scale * F.avg_pool2d(seen, 2)
        seen = F.conv2d(seen, kernel, bias, padding=int(name != "relu1_1")) * (found[name] > 0)
    return torch.autograd.grad(seen, x, slope.double())[0]


@needs_compiler
@pytest.mark.parametrize(
    ("real", "width", "height"),
    [(False, 45, 34), pytest.param(True, 86, 75, marks=pytest.mark.slow)],
)
def test_the_whole_network_keeps_its_accuracy(
    real: bool, width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all of VGG19, features are within 1e-4 and the picture's gradient within 1e-3."""
    all_fast(monkeypatch)
    weights = load_weights("vgg19") if real else narrow_weights(width=20)
    weights.tensors.update({name: t.float() for name, t in weights.tensors.items()})
    picture = photo(width, height)
    features = Features(weights, pooling="average")
    x = picture.clone().requires_grad_()
    found = features.extract(x, VGG19)
    exact = Features(weights, pooling="average", dtype=torch.float64)
    for name, expected in exact.extract(picture.double(), VGG19).items():
        assert_close(found[name].detach(), expected, 1e-4)
    deepest = found["relu5_4"]
    slope = some_map(*deepest.shape[1:]).float()
    expected = reference_gradient(features, weights, found, picture, slope)
    assert_close(torch.autograd.grad(deepest, x, slope)[0], expected, 1e-3)


@needs_compiler
@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 33), (17, 40)])
def test_asking_for_more_layers_changes_none(
    pooling: str, width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deep features are the same whether layers before a pooling are asked for or only pooled."""
    all_fast(monkeypatch)
    features = Features(narrow_weights(width=8), pooling=pooling)
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    few, many = (features.extract(picture, names) for names in (["relu5_4"], VGG19))
    torch.testing.assert_close(few["relu5_4"], many["relu5_4"], rtol=1e-5, atol=1e-6)


def test_switched_off_it_is_torch_alone() -> None:
    """Without the fast convolution, features are torch's to the last bit."""
    weights = narrow_weights(width=64)
    features = Features(weights, padding="zero", fast_convolution=False)
    picture = torch.rand(1, 3, 20, 17)
    seen = features.preprocess(picture)
    for name in ("conv1_1", "conv1_2"):
        kernel, bias = (weights.tensors[f"{name}.{part}"].float() for part in ("weight", "bias"))
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        seen = seen.contiguous(memory_format=torch.channels_last)
        seen = F.conv2d(seen, kernel, bias, padding=1).relu()
    assert torch.equal(features.extract(picture, ["relu1_2"])["relu1_2"], seen)


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forgets, before and after a test, what this process knows of compilers and decisions."""

    def forget() -> None:
        running.engine.cache_clear()
        tuning._decisions.cache_clear()

    forget()
    yield
    forget()


def refuse(*_: object) -> Any:
    """What a compiler does on a machine that it does not know."""
    raise RuntimeError("no such target")


WITHOUT_LLVMLITE = """
import sys
sys.modules["llvmlite"] = None
sys.path.insert(0, sys.argv[1])
import test_convolution
test_convolution.assert_torch_does_the_work()
"""


def assert_torch_does_the_work() -> None:
    """Nothing is compiled, and convolutions are torch's."""
    kernel, bias = (tensor.float() for tensor in some_layer(64, 64))
    x = some_map(64, 9, 14).float()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not fast_pays(64, 64)
        layer = Convolution(kernel, bias, fast=True)
        found = layer(x)
    assert not layer.fast
    torch.testing.assert_close(found, F.conv2d(x, kernel, bias, padding=1).relu())


def test_without_llvmlite_torch_does_the_work() -> None:
    """The extra is an extra: without it everything runs all the same, without a warning."""
    command = [sys.executable, "-c", WITHOUT_LLVMLITE, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


@needs_compiler
@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("step", ["__init__", "compile", "load"])
def test_where_nothing_can_be_compiled_torch_does_the_work(
    step: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A processor or a compiler that fails is no fault that a user meets."""
    from impasto.convolution import code

    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    monkeypatch.setattr(code.Machine, step, refuse)
    assert_torch_does_the_work()


@needs_compiler
@pytest.mark.usefixtures("fresh")
def test_a_machine_compiles_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The next process finds what this one has compiled, unless it was damaged."""
    from impasto.convolution import code

    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    layer, x = some_layer(64, 64), some_map(64, 9, 14).float()
    first = fast_layer(*layer)(x)
    kept = sorted((tmp_path / "convolution").glob("*.o"))
    assert kept
    compiled: list[object] = []
    compile_ = code.Machine.compile

    def count(machine: code.Machine, module: Any) -> bytes:
        compiled.append(module)
        return compile_(machine, module)

    monkeypatch.setattr(code.Machine, "compile", count)
    running.engine.cache_clear()
    assert torch.equal(fast_layer(*layer)(x), first)
    assert compiled == []
    for path in kept:
        whole = path.read_bytes()
        path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    running.engine.cache_clear()
    assert torch.equal(fast_layer(*layer)(x), first)
    assert len(compiled) == len(kept)


@pytest.fixture
def measured(fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """An empty cache folder; what gets measured, of which that from 64 channels pays."""
    tried: list[object] = []

    def measure(*shape: int) -> bool:
        tried.append(shape)
        return shape[0] == 64

    monkeypatch.setattr(tuning, "_try_convolution", measure)
    monkeypatch.setattr(tuning, "_try_products", measure)
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    return tried


SHAPES = [*tuning.SIDES, *((channels,) for channels in tuning.CHANNELS)]
EXPECTED = [shape[0] == 64 for shape in SHAPES]


def decide() -> list[bool]:
    """What a new process would find."""
    tuning._decisions.cache_clear()
    own = [fast_pays(*shape) for shape in tuning.SIDES]
    return own + [fast_products_pay(channels) for channels in tuning.CHANNELS]


@needs_compiler
def test_what_was_measured_once_stays(measured: list[object], tmp_path: Path) -> None:
    """A machine decides once, for each number of threads; other shapes are left to torch."""
    assert decide() == EXPECTED
    assert measured == SHAPES
    assert decide() == EXPECTED
    assert measured == SHAPES
    assert len(list((tmp_path / "cache" / "convolution").glob("*.json"))) == 1
    assert not fast_pays(5, 64)
    assert not fast_pays(64, 65)
    assert not fast_products_pay(65)


@needs_compiler
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda text: text[:60],
        lambda _: "[" * 100_000,
        lambda _: "[1]",
        lambda text: json.dumps({**json.loads(text), "key": "another machine"}),
        lambda text: text.replace("true", "1"),
        lambda text: text.replace("64x64", "64x65"),
    ],
)
def test_damaged_decisions_are_made_anew(
    damage: Callable[[str], str], measured: list[object], tmp_path: Path
) -> None:
    """A file of decisions that cannot be read counts as none, and is replaced."""
    decide()
    (path,) = (tmp_path / "cache" / "convolution").glob("*.json")
    whole = path.read_text()
    path.write_text(damage(whole))
    measured.clear()
    assert decide() == EXPECTED
    assert measured == SHAPES
    assert path.read_text() == whole


@needs_compiler
def test_without_a_place_to_keep_them_nothing_is_measured(
    measured: list[object], tmp_path: Path
) -> None:
    """Where no decision can be kept, none depends on a measurement, so that runs stay alike."""
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert all(decide())
    assert measured == []


@needs_compiler
def test_the_first_of_two_processes_decides(
    measured: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process that finishes its measurement second takes over what the first has found."""
    decide()
    folder = tmp_path / "cache" / "convolution"
    (path,) = folder.glob("*.json")
    theirs = path.read_text()
    path.unlink()

    def slow(*_: int) -> bool:
        path.write_text(theirs)
        return True

    monkeypatch.setattr(tuning, "_try_convolution", slow)
    assert decide() == EXPECTED
    assert list(folder.glob("*.json")) == [path]
    assert not list(folder.glob("*.part"))


def test_a_few_bad_moments_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is quicker in the long run wins, although other programs held it up at first."""
    result, calls, now = torch.ones(3), [0, 0], [0.0]
    monkeypatch.setattr(tuning, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def wait(number: int, seconds: float) -> Tensor:
        calls[number] += 1
        now[0] += seconds
        return result

    assert tuning._wins(
        lambda: wait(0, 0.03 if calls[0] < 5 else 0.001),
        lambda: wait(1, 0.01),
    )
    assert 5 < calls[0] < 10
    assert not tuning._wins(lambda: wait(1, 0.01), lambda: wait(0, 0.001))


@needs_compiler
@pytest.mark.slow
def test_the_measurement_finds_kernels_that_are_right(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every shape can be measured, and kernels that compute something else are turned down."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    assert len(decide()) == len(SHAPES)
    monkeypatch.setattr("impasto.convolution.layer.pack", lambda *a: 1.001 * running.pack(*a))
    assert not tuning._try_convolution(64, 64)


@pytest.mark.slow
def test_loss_curves_are_alike() -> None:
    """A run of VGG19 falls as far with the compiled kernels as with torch: early steps, which any
    rounding can turn aside at a maximum's tie, stay within 5 %, the end within half a percent."""
    curves = []
    for fast in (True, False):
        options = make_options(
            {"size": 96, "single_level": True, "evaluations": 40, "fast_convolution": fast}
        )
        run = stylization("sample:cat", "style:mosaic", options)
        curves.append([progress.terms.loss for progress in run])
    ours, plain = curves
    assert ours == pytest.approx(plain, rel=0.05)
    assert min(ours) == pytest.approx(min(plain), rel=0.005)
