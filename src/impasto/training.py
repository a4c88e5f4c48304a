"""Training of transfer networks (`networks`) against the losses that the optimiser descends.

The losses are those of Johnson, Alahi & Fei-Fei 2016: VGG19's features of the photo (content) and
the moments of a painting's features (style), with a weak smoothness term. Style terms are relative
to the painting's own statistics, so that flat and rich paintings count alike, and grow like
distances instead of squares where they are large, so that no painting drowns the others.

Everything that happens in a step follows from the seed and the step's number alone. The network
that is kept is the exponential average of all steps' networks (Polyak & Juditsky 1992), which is
good at any moment, as one whose learning rate has come down.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from impasto.features import Features
from impasto.images import read_image
from impasto.losses import blank_distance, gram_loss, mean_std_loss, total_variation
from impasto.moments import Moments, moments_of
from impasto.networks import (
    IDENTITY,
    Shape,
    StylePredictor,
    StyleTable,
    Transfer,
    seen_of,
)

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
CONTENT_LAYER = "relu4_1"


class TrainingOptions(BaseModel):
    """How a network is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=8000, ge=1, description="Steps in all.")
    batch: int = Field(default=4, ge=1, le=256, description="Photos in a step.")
    side: int = Field(default=128, ge=32, le=1024, description="Side of the photos' crops, px.")
    style_size: int = Field(
        default=256, ge=32, le=2048, description="Long side at which paintings are seen, px."
    )
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="Adam's learning rate.")
    content_weight: float = Field(default=1.0, ge=0, description="Weight of the content term.")
    style_weight: float = Field(default=5.0, ge=0, description="Weight of the style term.")
    tv_weight: float = Field(default=0.3, ge=0, description="Weight of the smoothness term.")
    seed: int = Field(default=0, ge=0, description="Seed of all that is random.")


def relative(distance: Tensor) -> Tensor:
    """A relative squared distance; above 1 it grows like its root: `2√d − 1`."""
    return torch.where(distance > 1, 2 * distance.clamp_min(1).sqrt() - 1, distance)


class StyleTarget:
    """A painting's statistics, and how far a picture's are from them.

    Args:
        moments: of each of `STYLE_LAYERS`.
    """

    def __init__(self, moments: dict[str, Moments]) -> None:
        self.moments = moments
        self._units = {
            name: tuple(
                float(blank_distance(loss, found).clamp_min(1e-12))
                for loss in (gram_loss, mean_std_loss)
            )
            for name, found in moments.items()
        }

    def distance(self, moments: dict[str, Moments]) -> Tensor:
        """The mean over layers of both terms, each relative to an empty picture's: a scalar."""
        total = torch.zeros(())
        for name, wanted in self.moments.items():
            gram, mean_std = self._units[name]
            total = total + relative(gram_loss(wanted)(moments[name]) / gram)
            total = total + relative(mean_std_loss(wanted)(moments[name]) / mean_std)
        return total / (2 * len(self.moments))

    @property
    def seen(self) -> Tensor:
        """What a predictor takes of the painting, `(1, 1920)`."""
        return seen_of(lambda name: (self.moments[name].mean, self.moments[name].variance))


def target_of(features: Features, painting: Tensor) -> StyleTarget:
    """The target that a painting `(1, 3, H, W)` makes."""
    with torch.no_grad():
        found = features.extract(painting, STYLE_LAYERS)
        return StyleTarget({name: moments_of(f, fast=features.fast) for name, f in found.items()})


def crop_of(
    path: Path, side: int, random: np.random.Generator, least: float, most: float
) -> Tensor:
    """A square of a picture, enlarged or shrunk at random, mirrored half the time.

    Args:
        path: of the picture.
        side: of the square, px.
        random: decides.
        least: smallest short side of the picture that the square is cut from, px.
        most: largest one, px.

    Returns:
        `(1, 3, side, side)` in [0, 1].
    """
    bitmap = read_image(path)
    short = max(side, float(np.exp(random.uniform(np.log(least), np.log(most)))))
    share = min(1.0, side / short)
    cut = max(1, round(share * min(bitmap.width, bitmap.height)))
    left = int(random.integers(bitmap.width - cut + 1))
    top = int(random.integers(bitmap.height - cut + 1))
    pixels = bitmap.pixels[:, top : top + cut, left : left + cut]
    if random.integers(2):
        pixels = pixels[:, :, ::-1]
    square = torch.from_numpy(np.ascontiguousarray(pixels))[None]
    if cut != side:
        square = F.interpolate(square, (side, side), mode="bilinear", antialias=True)
    return square.clamp(0, 1)


class Styles(Protocol):
    """Where the paintings of each step come from."""

    def draw(self, step: int, count: int) -> list[tuple[int, StyleTarget | None]]:
        """The styles of a step's photos: number and target, which is `None` for the photo itself.

        Args:
            step: from 0; asked for in order.
            count: photos in the step.
        """
        ...


class KnownStyles:
    """A few styles, each known whole from the start; the last one leaves photos as they are.

    Args:
        targets: of the styles.
        seed: of their order.
    """

    def __init__(self, targets: Sequence[StyleTarget], seed: int) -> None:
        self.targets: list[StyleTarget | None] = [*targets, None]
        self._seed = seed

    def draw(self, step: int, count: int) -> list[tuple[int, StyleTarget | None]]:
        """See `Styles`. All styles come once before one comes again."""
        found = []
        for place in range(step * count, (step + 1) * count):
            turn, within = divmod(place, len(self.targets))
            order = np.random.default_rng([self._seed, 1, turn]).permutation(len(self.targets))
            number = int(order[within])
            found.append((number, self.targets[number]))
        return found


class PaintingPool:
    """A folder's paintings, seen in ever new crops, colours and sizes.

    Every step one painting is read and takes the place of the oldest of some that are known; a
    step's styles are drawn from those. So a painting's statistics serve several steps, however many
    paintings there are.

    Args:
        features: to see them with.
        paintings: their files.
        options: of the training.
        size: how many are known at a time.
        identity: share of photos that are to stay as they are.
    """

    def __init__(
        self,
        features: Features,
        paintings: Sequence[Path],
        options: TrainingOptions,
        *,
        size: int = 48,
        identity: float = 0.05,
        rank: int = 0,
    ) -> None:
        self._rank = rank
        self._features, self._paintings, self._options = features, list(paintings), options
        self._size, self._identity = size, identity
        self._pool: dict[int, StyleTarget] = {}

    def draw(self, step: int, count: int) -> list[tuple[int, StyleTarget | None]]:
        """See `Styles`; every number is that of the step in which the painting was read."""
        # Before the first step as many are read as after a long training, so that going on from any
        # step finds what an uninterrupted training finds there.
        for place in range(step + 1 - self._size, step + 1):
            if place not in self._pool:
                self._pool[place] = self._read(place)
        for place in [place for place in self._pool if place <= step - self._size]:
            del self._pool[place]
        random = np.random.default_rng([self._options.seed, 2, self._rank, step])
        found: list[tuple[int, StyleTarget | None]] = []
        for _ in range(count):
            if random.random() < self._identity:
                found.append((-1, None))
                continue
            number = step - int(random.integers(self._size))
            found.append((number, self._pool[number]))
        return found

    def _read(self, place: int) -> StyleTarget:
        random = np.random.default_rng([self._options.seed, 3, self._rank, place + self._size])
        path = self._paintings[int(random.integers(len(self._paintings)))]
        size = self._options.style_size
        side = round(0.75 * size / 16) * 16
        picture = crop_of(path, side, random, 0.75 * size, 1.25 * size)
        return target_of(self._features, recolored(picture, random))


def recolored(picture: Tensor, random: np.random.Generator) -> Tensor:
    """Now and then another order of the colours, another contrast or brightness."""
    if random.random() < 0.3:
        picture = picture[:, random.permutation(3).tolist()]
    if random.random() < 0.3:
        gain = float(np.exp(random.normal(0, 0.25)))
        mean = picture.mean((2, 3), keepdim=True)
        picture = mean + gain * (picture - mean) + float(random.normal(0, 0.05))
    return picture.clamp(0, 1)


@dataclass(frozen=True)
class Losses:
    """The losses of a step, means over its photos; `total` is their weighted sum."""

    total: float
    content: float
    style: float
    smoothness: float


class Trainer:
    """A training, step by step.

    Args:
        transfer: the network.
        vectors: gives its style vectors.
        styles: the paintings.
        photos: files of photos.
        features: VGG19 in float32.
        options: how; `batch` is that of each process.
        rank: number of this process among several that train together.
        reduce: makes the gradients of all processes their mean.
    """

    def __init__(
        self,
        transfer: Transfer,
        vectors: StyleTable | StylePredictor,
        styles: Styles,
        photos: Sequence[Path],
        features: Features,
        options: TrainingOptions,
        *,
        rank: int = 0,
        reduce: Callable[[nn.Module], None] | None = None,
    ) -> None:
        self._rank, self._reduce = rank, reduce
        self.network = nn.ModuleDict({"transfer": transfer, "vectors": vectors})
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.styles, self.photos, self.features = styles, list(photos), features
        self.options = options
        self.step = 0
        # A row of a table is trained by few of the steps, a predictor by all.
        quick = 10.0 if isinstance(vectors, StyleTable) else 1.0
        self._quick = (1.0, quick)
        self.adam = torch.optim.Adam(
            [{"params": list(part.parameters())} for part in (transfer, vectors)],
            lr=options.learning_rate,
            betas=(0.9, 0.99),
        )

    def advance(self) -> Losses:
        """One step."""
        options = self.options
        rate = options.learning_rate * self.rate(self.step)
        for group, quick in zip(self.adam.param_groups, self._quick, strict=True):
            group["lr"] = rate * quick
        photos = torch.cat([self._photo(i) for i in range(options.batch)])
        drawn = self.styles.draw(self.step, options.batch)
        contents, targets = [], []
        with torch.no_grad():
            for i, (_, target) in enumerate(drawn):
                found = self.features.extract(photos[i : i + 1], (*STYLE_LAYERS, CONTENT_LAYER))
                contents.append(found[CONTENT_LAYER])
                targets.append(
                    target or StyleTarget({name: moments_of(found[name]) for name in STYLE_LAYERS})
                )
        vectors = vectors_of(self.network, [number for number, _ in drawn], targets)
        painted = cast("Transfer", self.network["transfer"])(photos, vectors)
        leaf = painted.detach().requires_grad_()
        total = torch.zeros(3)
        for i, target in enumerate(targets):
            terms = self._terms(
                leaf[i : i + 1], photos[i : i + 1], contents[i], target, drawn[i][1]
            )
            weights = torch.tensor(
                [options.content_weight, options.style_weight, options.tv_weight]
            )
            ((terms * weights).sum() / options.batch).backward()
            total += terms.detach() / options.batch
        self.adam.zero_grad()
        painted.backward(leaf.grad)
        if self._reduce is not None:
            self._reduce(self.network)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.adam.step()
        self.step += 1
        self._average()
        content, style, smoothness = total.tolist()
        return Losses(
            options.content_weight * content
            + options.style_weight * style
            + options.tv_weight * smoothness,
            *(content, style, smoothness),
        )

    def _terms(
        self,
        painted: Tensor,
        photo: Tensor,
        content: Tensor,
        target: StyleTarget,
        given: StyleTarget | None,
    ) -> Tensor:
        """Content, style and smoothness of one repainted photo, `(3,)`."""
        found = self.features.extract(painted, (*STYLE_LAYERS, CONTENT_LAYER))
        distance = content_distance(found[CONTENT_LAYER], content)
        moments = {name: moments_of(found[name], fast=self.features.fast) for name in STYLE_LAYERS}
        smoothness = total_variation(painted)
        if given is None:
            # A photo that is to stay as it is must be so pixel for pixel.
            distance = distance + 20 * (painted - photo).square().mean()
            smoothness = 0 * smoothness
        return torch.stack([distance, target.distance(moments), smoothness])

    def _photo(self, place: int) -> Tensor:
        random = np.random.default_rng([self.options.seed, 4, self._rank, self.step, place])
        path = self.photos[int(random.integers(len(self.photos)))]
        return crop_of(path, self.options.side, random, 1.1 * self.options.side, 400)

    def rate(self, step: int) -> float:
        """Share of the learning rate: rising for 100 steps, then half a cosine down to 5 %."""
        warm = min(1.0, (step + 1) / 100)
        return warm * (0.05 + 0.95 * 0.5 * (1 + float(np.cos(np.pi * step / self.options.steps))))

    def _average(self) -> None:
        decay = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)


def content_distance(features: Tensor, photo: Tensor) -> Tensor:
    """`mean((F − P)²)` relative to the variance of the photo's features over positions."""
    spread = (photo - photo.mean((2, 3), keepdim=True)).square().mean()
    # A flat photo's features hardly vary: nothing to keep, and nothing to divide by.
    return (features - photo).square().mean() / (spread + 0.05 * photo.square().mean() + 1e-3)


def vectors_of(
    network: nn.ModuleDict, numbers: Sequence[int], targets: Sequence[StyleTarget]
) -> Tensor:
    """The style vectors of some styles, by their numbers in a table or by their statistics."""
    vectors = network["vectors"]
    if isinstance(vectors, StyleTable):
        return vectors(torch.tensor(list(numbers)))
    return vectors(torch.cat([target.seen for target in targets]))


def table_for(names: Sequence[str], shape: Shape) -> StyleTable:
    """A table of some styles and of the one that leaves photos as they are."""
    return StyleTable([*names, IDENTITY], shape.vector)


def predictor_for(shape: Shape, targets: Sequence[StyleTarget]) -> StylePredictor:
    """A predictor that expects statistics such as those of some paintings."""
    predictor = StylePredictor(shape.vector)
    seen = torch.cat([target.seen for target in targets])
    cast("Tensor", predictor.mean).copy_(seen.mean(0))
    cast("Tensor", predictor.deviation).copy_(seen.std(0) + 1e-2 * seen.std(0).mean())
    return predictor
