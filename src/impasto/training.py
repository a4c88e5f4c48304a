"""Training of transfer networks (`networks`) against losses that the optimiser can descend, too.

The losses are those of Johnson, Alahi & Fei-Fei 2016: VGG19's features of the photo (content) and
the moments of a painting's features (style), with a weak smoothness term. Style terms are relative
to the painting's own statistics, so that flat and rich paintings count alike, and grow like
distances instead of squares where they are large, so that no painting drowns the others.

Everything that happens in a step follows from the seed and the step's number alone. The network
that is kept is an exponential running mean of the steps' networks (Polyak & Juditsky 1992), about
the last 500 of them, which is good at any moment, as one whose learning rate has come down.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from impasto.crops import Ahead, Crops
from impasto.distributed import Crew
from impasto.errors import NotFiniteError
from impasto.features import Features
from impasto.losses import blank_distance, gram_loss, mean_std_loss, total_variation
from impasto.moments import Moments, moments_of
from impasto.networks import (
    IDENTITY,
    Network,
    Shape,
    StylePredictor,
    StyleTable,
    Transfer,
    seen_of,
)
from impasto.noise import roughened
from impasto.training_options import TrainingOptions

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
CONTENT_LAYER = "relu4_1"

FLAT = 0.05
"""Crops of paintings whose colours deviate less than this are not learned from."""

SHAPES = {"standard": Shape(), "narrow": Shape((16, 24, 48), 3, (24, 16, 8))}
"""Sizes of networks, by their names in the options."""


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
        total = next(iter(self.moments.values())).first.new_zeros(())
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


class Styles(Protocol):
    """Where the paintings of each step come from.

    A style has a number; −1 or, in a table, the last one stands for the photo itself.
    """

    def numbers(self, step: int, count: int) -> list[int]:
        """The styles of a step's photos; depends on nothing but the arguments.

        Args:
            step: from 0.
            count: photos in the step, over all processes.
        """
        ...

    def is_photo(self, number: int) -> bool:
        """Whether a style stands for the photo itself."""
        ...

    def picture(self, number: int) -> Tensor | None:
        """What `target` may need of a style, to be read beforehand, in the background."""
        ...

    def target(self, step: int, number: int, picture: Tensor | None) -> StyleTarget | None:
        """What a style's photos must match; `None` for the photo itself.

        Args:
            step: at which it is needed.
            number: of the style.
            picture: what `picture` gave, if anything.
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

    def numbers(self, step: int, count: int) -> list[int]:
        """See `Styles`. All styles come once before one comes again."""
        found = []
        for place in range(step * count, (step + 1) * count):
            turn, within = divmod(place, len(self.targets))
            order = np.random.default_rng([self._seed, 1, turn]).permutation(len(self.targets))
            found.append(int(order[within]))
        return found

    def is_photo(self, number: int) -> bool:
        """See `Styles`."""
        return self.targets[number] is None

    def picture(self, number: int) -> None:
        """See `Styles`: there is nothing to read."""

    def target(self, step: int, number: int, picture: Tensor | None) -> StyleTarget | None:  # noqa: ARG002
        """See `Styles`."""
        return self.targets[number]


class PaintingPool:
    """Folders' paintings, seen in ever new crops, colours and sizes.

    Every step one painting takes the place of the oldest of some; a step's styles are drawn from
    those. So a painting's statistics, which are taken when it is first drawn, serve several steps,
    however many paintings there are.

    Args:
        features: to see them with.
        paintings: gives squares of them.
        seed: of what is random.
        size: how many there are at a time.
        identity: share of photos that are to stay as they are.
    """

    def __init__(
        self,
        features: Features,
        paintings: Crops,
        seed: int,
        *,
        size: int = 48,
        identity: float = 0.05,
    ) -> None:
        self._features, self._paintings, self._seed = features, paintings, seed
        self._size, self._identity = size, identity
        self._pool: dict[int, StyleTarget] = {}
        self._read: set[int] = set()

    def numbers(self, step: int, count: int) -> list[int]:
        """See `Styles`; every number is that of the step with which a painting came, from 0, or
        from `size` places before that on."""
        random = np.random.default_rng([self._seed, 2, step])
        found = []
        for _ in range(count):
            if random.random() < self._identity:
                found.append(-1)
            else:
                found.append(step - int(random.integers(self._size)) + self._size)
        return found

    def is_photo(self, number: int) -> bool:
        """See `Styles`."""
        return number < 0

    def picture(self, number: int) -> Tensor | None:
        """See `Styles`; what has been given once is not read again."""
        if number < 0 or number in self._read:
            return None
        self._read = {known for known in self._read if known > number - 2 * self._size} | {number}
        return self._crop(number)

    def target(self, step: int, number: int, picture: Tensor | None) -> StyleTarget | None:
        """See `Styles`."""
        if number < 0:
            return None
        if number not in self._pool:
            if picture is None:
                # It was read before a training that goes on from here.
                picture = self._crop(number)
            self._pool[number] = target_of(self._features, picture.to(self._features.device))
        for old in [old for old in self._pool if old <= step]:
            del self._pool[old]
        return self._pool[number]

    def _crop(self, number: int) -> Tensor:
        random = np.random.default_rng([self._seed, 3, number])
        # Nothing can be learned from an empty corner of a painting, and its statistics, with no
        # deviation to divide by, make gradients that float32 cannot hold.
        picture = recolored(self._paintings.draw(random), random)
        for _ in range(7):
            if float(picture.std((2, 3)).max()) > FLAT:
                break
            picture = recolored(self._paintings.draw(random), random)
        return picture


def recolored(picture: Tensor, random: np.random.Generator) -> Tensor:
    """Now and then another order of the colours, another contrast or brightness."""
    if random.random() < 0.3:
        picture = picture[:, random.permutation(3).tolist()]
    if random.random() < 0.3:
        gain = float(np.exp(random.normal(0, 0.25)))
        mean = picture.mean((2, 3), keepdim=True)
        picture = mean + gain * (picture - mean) + float(random.normal(0, 0.05))
    return picture.clamp(0, 1)


def photo_crops(photos: Sequence[Path], side: int) -> Crops:
    """Squares of photos, as a training sees them."""
    return Crops([(photos, 1.0)], side, 1.1 * side, max(400.0, 2 * side))


def painting_crops(folders: Sequence[tuple[Sequence[Path], float]], size: int) -> Crops:
    """Squares of paintings whose long side is `size` px or somewhat more or less."""
    return Crops(folders, max(16, round(0.75 * size / 16) * 16), 0.75 * size, 1.25 * size)


@dataclass(frozen=True)
class Losses:
    """The losses of a step, means over its photos; `total` is their weighted sum."""

    total: float
    content: float
    style: float
    smoothness: float


@dataclass(frozen=True)
class Batch:
    """What a process sees in a step.

    Attributes:
        photos: `(N, 3, H, W)`, sRGB in [0, 1].
        given: likewise, with the noise that the network gets.
        styles: the number of each photo's style.
        pictures: what their targets may need.
    """

    photos: Tensor
    given: Tensor
    styles: list[int]
    pictures: list[Tensor | None]


class Trainer:
    """A training, step by step.

    Args:
        transfer: the network.
        vectors: gives its style vectors.
        styles: the paintings.
        photos: gives squares of photos.
        features: VGG19 in float32.
        options: how.
        crew: the processes that train together.

    Attributes:
        network: `transfer` and `vectors`, as they are trained.
        average: exponential running mean of the steps' networks, about the last 500.
        step: how many have been made.
        factor: of the learning rate.
    """

    def __init__(
        self,
        transfer: Transfer,
        vectors: StyleTable | StylePredictor,
        styles: Styles,
        photos: Crops,
        features: Features,
        options: TrainingOptions,
        crew: Crew | None = None,
    ) -> None:
        self._crew = crew or Crew()
        self._device = features.device
        self.network = nn.ModuleDict({"transfer": transfer, "vectors": vectors}).to(self._device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.styles, self.photos, self.features = styles, photos, features
        self.options = options
        self.step = 0
        self.factor = 1.0
        weights = (options.content_weight, options.style_weight, options.tv_weight)
        self._weights = torch.tensor(weights, device=self._device)
        # A row of a table is trained by few of the steps, a predictor by all.
        quick = 10.0 if isinstance(vectors, StyleTable) else 1.0
        self._quick = (1.0, quick)
        self.adam = torch.optim.Adam(
            [{"params": list(part.parameters())} for part in (transfer, vectors)],
            lr=options.learning_rate,
            betas=(0.9, 0.99),
        )
        self._ahead = Ahead(self._read)

    def close(self) -> None:
        """Ends what runs in the background."""
        self._ahead.close()

    def advance(self) -> Losses:
        """One step.

        Raises:
            NotFiniteError: a loss or a gradient is no finite number; the networks stay as they
                were.
            InputError: no picture of a folder can be read.
        """
        options, device = self.options, self._device
        rate = options.learning_rate * self.rate(self.step)
        for group, quick in zip(self.adam.param_groups, self._quick, strict=True):
            group["lr"] = rate * quick
        batch = self._ahead.at(self.step)
        photos = batch.photos.to(device)
        given = [
            self.styles.target(self.step, number, picture)
            for number, picture in zip(batch.styles, batch.pictures, strict=True)
        ]
        contents, targets = [], []
        with torch.no_grad():
            for i, target in enumerate(given):
                found = self.features.extract(photos[i : i + 1], (*STYLE_LAYERS, CONTENT_LAYER))
                contents.append(found[CONTENT_LAYER])
                targets.append(
                    target or StyleTarget({name: moments_of(found[name]) for name in STYLE_LAYERS})
                )
        vectors = vectors_of(self.network, batch.styles, targets)
        painted = cast("Transfer", self.network["transfer"])(batch.given.to(device), vectors)
        leaf = painted.detach().requires_grad_()
        total = torch.zeros(3, device=device)
        for i, target in enumerate(given):
            terms = self._terms(leaf[i : i + 1], photos[i : i + 1], contents[i], target)
            ((terms * self._weights).sum() / options.batch).backward()
            total += terms.detach() / options.batch
        self.adam.zero_grad()
        painted.backward(leaf.grad)
        parameters = list(self.network.parameters())
        # Every process holds sums over its photos, divided by the number of all.
        self._crew.add([total, *(p.grad for p in parameters if p.grad is not None)])
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        if not bool(torch.isfinite(norm + total.sum())):
            raise NotFiniteError(f"the loss is no finite number at step {self.step + 1}")
        self.adam.step()
        self.step += 1
        self._average()
        return Losses(float(total @ self._weights), *total.tolist())

    def _read(self, step: int) -> Batch:
        """What this process sees in a step; a photo of the whole batch is the same one however many
        processes there are."""
        styles = self.styles.numbers(step, self.options.batch)
        mine = self._crew.share(self.options.batch)
        chosen = [styles[place] for place in mine]
        pictures = [self.styles.picture(number) for number in chosen]
        photos, given = [], []
        for place, number in zip(mine, chosen, strict=True):
            random = np.random.default_rng([self.options.seed, 4, step, place])
            photo = self.photos.draw(random)
            # Less and more of it than a network will get, and none, which is what films have.
            amount = self.options.noise * max(0.0, float(random.uniform(-0.5, 1.5)))
            if self.styles.is_photo(number):
                amount = 0.0
            rough = roughened(photo[0].numpy(), amount, seed=int(random.integers(2**31)), even=True)
            photos.append(photo)
            given.append(torch.from_numpy(rough)[None])
        return Batch(torch.cat(photos), torch.cat(given), chosen, pictures)

    def state(self) -> dict[str, Tensor]:
        """All that the following steps depend on, but for `step` and `factor`: copies."""
        found: dict[str, Tensor] = {}
        for name, part in {"network": self.network, "average": self.average}.items():
            found |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
        for number, parameter in enumerate(self.network.parameters()):
            kept = self.adam.state[parameter]
            if kept:
                found[f"adam.mean.{number}"] = kept["exp_avg"]
                found[f"adam.square.{number}"] = kept["exp_avg_sq"]
                found["adam.steps"] = kept["step"]
        return {key: value.detach().cpu().clone() for key, value in found.items()}

    def skip(self) -> None:
        """Passes over a step whose loss is no number; nothing is learned from it."""
        self.step += 1

    def restore(self, state: Mapping[str, Tensor], step: int, factor: float) -> None:
        """Goes back, or on, to where a training stood.

        Args:
            state: what `state` gave there.
            step: where it was.
            factor: of the learning rate.

        Raises:
            KeyError, RuntimeError: the state is that of another network.
        """
        for name, part in {"network": self.network, "average": self.average}.items():
            start = len(name) + 1
            part.load_state_dict(
                {key[start:]: value for key, value in state.items() if key.startswith(f"{name}.")}
            )
        for number, parameter in enumerate(self.network.parameters()):
            self.adam.state.pop(parameter, None)
            if "adam.steps" in state:
                self.adam.state[parameter] = {
                    "step": state["adam.steps"].clone(),
                    **{
                        name: torch.empty_like(parameter).copy_(state[f"adam.{key}.{number}"])
                        for name, key in (("exp_avg", "mean"), ("exp_avg_sq", "square"))
                    },
                }
        self.step, self.factor = step, factor

    def _terms(
        self,
        painted: Tensor,
        photo: Tensor,
        content: Tensor,
        given: StyleTarget | None,
    ) -> Tensor:
        """Content, style and smoothness of one repainted photo, `(3,)`."""
        found = self.features.extract(painted, (*STYLE_LAYERS, CONTENT_LAYER))
        distance = content_distance(found[CONTENT_LAYER], content)
        if given is None:
            # A photo that is to stay as it is must be so pixel for pixel.
            distance = distance + 20 * (painted - photo).square().mean()
            return torch.stack([distance, *distance.new_zeros(2)])
        moments = {name: moments_of(found[name], fast=self.features.fast) for name in STYLE_LAYERS}
        style = given.distance(moments)
        return torch.stack([distance, style, total_variation(painted)])

    def rate(self, step: int) -> float:
        """Share of the learning rate: rising for 100 steps, then half a cosine down to 5 %."""
        warm = self.factor * min(1.0, (step + 1) / 100)
        return warm * (0.05 + 0.95 * 0.5 * (1 + float(np.cos(np.pi * step / self.options.steps))))

    def _average(self) -> None:
        # Half of the mean is from the last 350 steps; early on it reaches less far back.
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
        return vectors(torch.tensor(list(numbers), device=vectors.vectors.device))
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


@torch.no_grad()
def table_from(
    network: Network,
    names: Sequence[str],
    pictures: Sequence[Tensor],
    photos: Sequence[Tensor] = (),
) -> StyleTable:
    """A table of styles, to begin with, of what another network makes of them.

    A vector of a name that the network has in its own table is taken from there; one that predicts
    vectors predicts them. Where neither goes, it is the mean of those that the network knows.

    Args:
        network: the other one.
        names: of the styles.
        pictures: of each, `(1, 3, H, W)`, as large as a training sees them.
        photos: likewise; the vector of `IDENTITY` is the mean of what is predicted from them.
    """
    table = table_for(names, network.transfer.shape)
    for place, name in enumerate(table.names):
        shown = [pictures[place]] if name != IDENTITY else list(photos)
        if network.table is not None:
            known = name in network.table.names
            vector = network.vector_of_name(name) if known else network.table.vectors.mean(0)
        elif shown:
            vector = torch.cat([network.vector_of_picture(picture) for picture in shown]).mean(0)
        else:
            continue
        table.vectors[place] = vector.reshape(-1)
    return table
