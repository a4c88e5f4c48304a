"""The course of a training: from folders of pictures to a network's file.

Every so many steps the average of the networks so far is judged on pictures that it is never
trained on, and written if it is the best one until then. A checkpoint holds all that the rest of a
training follows from, so that one that is killed goes on to the same network. A step whose loss is
no number is passed over; after several of them in a row the training goes back to where all was
well and goes on at half the rate.
"""

from __future__ import annotations

import copy
import platform
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto import __version__
from impasto.checkpoint import remove_checkpoint
from impasto.crops import Crops
from impasto.devices import pick_device
from impasto.distributed import Crew, joined
from impasto.errors import CheckpointError, ImageError, NotFiniteError, OptionError
from impasto.features import Features
from impasto.images import (
    DEFAULT_MAX_PIXELS,
    fit_within,
    make_folder,
    read_reduced,
    write_image,
)
from impasto.material import Material
from impasto.networks import (
    VGG,
    Network,
    Shape,
    StylePredictor,
    StyleTable,
    Transfer,
    read_network,
    write_network,
)
from impasto.sources import read_source
from impasto.standing import Kept, Standing, read_kept, write_kept
from impasto.trained import name_of
from impasto.training import (
    SHAPES,
    STYLE_LAYERS,
    KnownStyles,
    Losses,
    PaintingPool,
    Trainer,
    painting_crops,
    photo_crops,
    predictor_for,
    table_for,
    table_from,
    target_of,
)
from impasto.training_options import TrainingOptions
from impasto.validation import Held, Validation, square, tensor_of
from impasto.weights import load_weights

GOOD_EVERY = 100
"""Steps after which a training notes where it stands, to go back to."""

MOST_FALLS = 6
"""So often the rate is halved before a training is given up."""

MOST_SKIPPED = 2
"""Steps in a row that may be passed over: a picture can be at fault as well as the rate."""

ROW_EVERY = 10
"""Steps that make a point of the curves."""

HELD_STYLES = 8
"""Most styles to judge by."""

EXPECTED = 150
"""Paintings that tell a new predictor what statistics to expect."""

CHECKPOINT_EVERY = 300.0
"""Seconds between checkpoints, beside those at validations."""

_GO_ON, _INTERRUPTED, _TIME, _PATIENCE = range(4)
_REASONS = {_INTERRUPTED: "interrupted", _TIME: "time", _PATIENCE: "patience"}


@dataclass(frozen=True)
class Progress:
    """A training after a step.

    Attributes:
        step: how many have been made.
        steps: how many there are to be.
        losses: of this one; `None` where they were no numbers, and it is passed over.
        rate: its learning rate.
        seconds: that the training has taken, earlier parts of it included.
        validation: of the average, where this step ends with one.
        note: what a person should know, or "".
    """

    step: int
    steps: int
    losses: Losses | None
    rate: float
    seconds: float
    validation: Losses | None = None
    note: str = ""


class Course:
    """A training as it goes on: iterating over it makes it, step by step.

    Args:
        material: what to train with.
        options: how.
        output: the network's file; the validation sheet and the checkpoint go beside it.
        init: a network to begin with: its convolutions, and the vectors that it has or predicts.
        crew: the processes that train together; only the first judges and writes.
        features: VGG19; by default loaded.
        device: where to train; by default as the options say.
        kept: what a checkpoint of this training holds.
        snapshots: a folder for the sheets of all validations.
        checkpoint_every: seconds between checkpoints.
        notes: plain data of the caller's, for the checkpoint.

    Attributes:
        standing: where the training stands.
        reason: why it has come to its end: `steps`, `patience`, `time` or `interrupted`.
        warnings: lines for the user.
        written: step of the network that is in `output`; `None`: this training's is not there.
        saved: whether there is a checkpoint of this training.

    Raises:
        InputError: pictures that cannot be read, or that do not belong to the checkpoint.
        OptionError: what does not fit together, or not this machine.
    """

    def __init__(
        self,
        material: Material,
        options: TrainingOptions,
        output: Path,
        *,
        init: Network | None = None,
        crew: Crew | None = None,
        features: Features | None = None,
        device: torch.device | None = None,
        kept: Kept | None = None,
        snapshots: Path | None = None,
        checkpoint_every: float = CHECKPOINT_EVERY,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        self.crew = crew or Crew()
        if options.batch < self.crew.size:
            raise OptionError(
                f"--batch {options.batch}: leaves some of {self.crew.size} processes without a "
                "photo; give a larger one"
            )
        if init is not None and not material.styles and init.predictor is None:
            raise OptionError("--init: knows only its own styles; name a network for any style")
        asked = SHAPES[options.width] if "width" in options.model_fields_set else None
        if init is not None and asked not in (None, init.transfer.shape):
            raise OptionError(
                f"--width {options.width}: is not the size of the network of --init, which is "
                "kept; leave one of them out"
            )
        self.material, self.options, self.output = material, options, output
        self.standing = Standing() if kept is None else replace(kept.standing)
        self.reason: str | None = None
        self._snapshots, self._checkpoint_every = snapshots, checkpoint_every
        self._stopped = False
        rows = self.standing.validations
        self._judged = int(rows[-1][0]) if rows else -1
        shape = SHAPES[options.width] if init is None else init.transfer.shape
        self._record = {
            "material": material.record,
            "options": options.model_dump(),
            "shape": asdict(shape),
            "hidden": ((init and init.predictor) or StylePredictor(1)).hidden,
            "init": None if init is None else init.sha256,
            "notes": dict(notes or {}),
        }
        self.warnings: list[str] = []
        if kept is not None:
            shape = self._same(kept)
        self._features = features or Features(
            "vgg19", layers=STYLE_LAYERS, device=device or pick_device(options.device)
        )
        self._record["numbers"] = {
            "torch": torch.__version__,
            "device": self._features.device.type,
            "processes": self.crew.size,
            "threads": torch.get_num_threads(),
            "kernels": self._features.kernels,
        }
        if kept is not None:
            self._warn(kept)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self._prepare(shape, init, expect=kept is None)
        self._best: Mapping[str, Tensor] = {}
        if kept is not None:
            try:
                self.trainer.restore(kept.tensors, self.standing.step, self.standing.factor)
            except (KeyError, RuntimeError):
                raise CheckpointError("the checkpoint is that of another network") from None
            self._best = kept.best
        best = self.standing.best
        self.written: int | None = None
        self.saved = kept is not None and self.checkpoint.is_file()
        if kept is not None and best is not None and output.is_file():
            same = Path(kept.record["notes"].get("output", "")) == output
            self.written = int(best[0]) if same else None
        self._good = self.trainer.state(), self.trainer.step
        self._recent: list[Losses] = []
        self._began = time.monotonic() - self.standing.seconds

    # --- preparing -------------------------------------------------------------------------------

    def _same(self, kept: Kept) -> Shape:
        """Takes over what a checkpoint says; refuses it where pictures have changed."""
        record = self._record["material"]
        old = kept.record["material"]
        names = [self.material.photos.path, *(f.path for f in self.material.paintings)]
        for name, now, then in zip(
            [*names, *self.material.styles], record["digests"], old["digests"], strict=True
        ):
            if now != then:
                raise CheckpointError(
                    f"{name}: is not what it was when the training began; bring back the same "
                    "pictures, or begin it anew"
                )
        self._record |= {key: kept.record[key] for key in ("shape", "hidden", "init")}
        given = kept.record["shape"]
        return Shape(tuple(given["encoder"]), given["blocks"], tuple(given["decoder"]))

    def _warn(self, kept: Kept) -> None:
        """Notes what makes numbers differ in their last bits from those of the training so far."""
        then = kept.record.get("numbers")
        if not isinstance(then, Mapping):
            return  # checkpoints of earlier versions do not say it
        changed = [
            f"{name} {value}, not {then.get(name)}"
            for name, value in self._record["numbers"].items()
            if value != then.get(name)
        ]
        if changed:
            self.warnings.append(
                f"the training goes on with {'; '.join(changed)}: small differences may follow"
            )

    def _prepare(self, shape: Shape, init: Network | None, *, expect: bool) -> None:
        """Makes the trainer and what it is judged by."""
        options, features = self.options, self._features
        transfer = Transfer(shape)
        if init is not None:
            transfer.load_state_dict(init.transfer.state_dict())
        files, held = self.material.photos.files(), self.material.photos.held(options.held_out)
        shown, held = self._middles(files, held, 2 * options.side)
        photos = photo_crops(files[held:], options.side)
        styles: KnownStyles | PaintingPool
        vectors: StyleTable | StylePredictor
        self._sources = [photos]
        if self.material.styles:
            names = self.material.names
            pictures = [_whole(source, options.style_size) for source in self.material.styles]
            targets = [target_of(features, picture.to(features.device)) for picture in pictures]
            styles = KnownStyles(targets, options.seed)
            if init is None:
                vectors = table_for(names, shape)
            else:
                vectors = table_from(init, names, pictures, shown)
            places = sorted({*np.linspace(0, len(names) - 1, HELD_STYLES).round().astype(int)})
            judged = [Held(int(i), targets[i], pictures[i]) for i in places]
            judged.append(Held(len(names), None, None))
        else:
            folders, seen = self.material.paintings, list[Tensor]()
            most = max(1, HELD_STYLES // len(folders))  # some of each folder
            counts, fault = [], None
            for folder in folders:
                count = folder.held(options.held_out)
                if len(seen) < HELD_STYLES:
                    try:
                        found, first = self._middles(
                            folder.files(), min(count, most), options.style_size
                        )
                        seen += found
                        count = max(count, first)
                    except ImageError as error:
                        fault = fault or error
                counts.append(count)
            if fault is not None and not seen:
                raise fault
            crops = painting_crops(
                [
                    (folder.files(count), folder.weight)
                    for folder, count in zip(folders, counts, strict=True)
                ],
                options.style_size,
            )
            self._sources.append(crops)
            styles = PaintingPool(features, crops, options.seed)
            if init is not None and init.predictor is not None:
                vectors = copy.deepcopy(init.predictor)
            elif expect:
                vectors = self._predictor(shape, crops)
            else:
                vectors = StylePredictor(shape.vector, tuple(self._record["hidden"]))
            judged = [Held(0, target_of(features, p.to(features.device)), p) for p in seen]
            judged.append(Held(-1, None, None))
        for part in (transfer, vectors):
            part.requires_grad_(True)
        self.trainer = Trainer(transfer, vectors, styles, photos, features, options, self.crew)
        self._validation = Validation(features, shown, judged, options)

    def _middles(self, paths: Sequence[Path], count: int, side: int) -> tuple[list[Tensor], int]:
        """The middles of a folder's first pictures, those that cannot be read left out, and how
        many have been looked at: `count`, or more where none of these can be read.

        Raises:
            ImageError: none can be read but, perhaps, the last one, which is left to train with.
        """
        found, first, looked = list[Tensor](), None, 0
        for path in paths[: max(count, len(paths) - 1)]:
            if looked >= count and found:
                break
            looked += 1
            try:
                bitmap, _ = read_reduced(path, side, of_short=True)
                found.append(square(tensor_of(bitmap), side))
            except ImageError as error:
                first = first or error
                self.standing.faults[str(path)] = str(error)
        if first is not None and not found:
            raise first
        return found, looked

    def _predictor(self, shape: Shape, crops: Crops) -> StylePredictor:
        targets = []
        for number in range(EXPECTED):
            random = np.random.default_rng([self.options.seed, 5, number])
            targets.append(target_of(self._features, crops.draw(random).to(self._features.device)))
        return predictor_for(shape, targets)

    # --- going on --------------------------------------------------------------------------------

    def stop(self) -> None:
        """Has the training end after the step that it is in; its checkpoint is then written."""
        self._stopped = True

    def __iter__(self) -> Iterator[Progress]:
        """Goes on to the end, which `reason` tells of.

        Raises:
            NotFiniteError: the loss is no number even at a small rate.
            OutputError: a file cannot be written.
            RunError: another process has ended.
        """
        trainer, options = self.trainer, self.options
        saved = time.monotonic()
        self._began = saved - self.standing.seconds
        limit = None if options.time_limit is None else saved + options.time_limit
        try:
            while trainer.step < options.steps:
                word = self.crew.agree(self._wish(limit))
                if word != _GO_ON:
                    self.reason = _REASONS[word]
                    break
                losses, note = self._advance()
                step = trainer.step
                verdict = None
                if step % options.validate_every == 0 or step == options.steps:
                    verdict = self._validate()
                    if self.crew.rank == 0 and step < options.steps:
                        self.save()
                        saved = time.monotonic()
                elif self.crew.rank == 0 and time.monotonic() - saved >= self._checkpoint_every:
                    self.save()
                    saved = time.monotonic()
                rate = options.learning_rate * trainer.rate(step - 1)
                seconds = time.monotonic() - self._began
                yield Progress(step, options.steps, losses, rate, seconds, verdict, note)
            else:
                self.reason = "steps"
        finally:
            self.standing.seconds = time.monotonic() - self._began
            trainer.close()

    def finish(self) -> None:
        """Writes what there is after the end: the best network, and a checkpoint where the training
        can go on; deletes that of one that is finished.

        Raises:
            OutputError: a file cannot be written.
        """
        if self.reason == "time" and self._judged != self.trainer.step:
            # Kept before it is judged: a training without a limit would not be judged here, and
            # what goes on from the checkpoint is to be the same.
            if not self.crew.rank:
                self.save()
            self._validate()
            return
        if self.crew.rank:
            return
        if self.reason in ("steps", "patience"):
            self._write()
            remove_checkpoint(self.checkpoint)
        else:
            self.save()

    @property
    def checkpoint(self) -> Path:
        """The file that keeps the unfinished training."""
        return checkpoint_of(self.output)

    def _wish(self, limit: float | None) -> int:
        if self._stopped:
            return _INTERRUPTED
        if limit is not None and time.monotonic() >= limit:
            return _TIME
        if self.options.patience and self.standing.waited >= self.options.patience:
            return _PATIENCE
        return _GO_ON

    def _advance(self) -> tuple[Losses | None, str]:
        losses: Losses | None = None
        note, trainer, standing = "", self.trainer, self.standing
        while True:
            try:
                losses = trainer.advance()
                standing.skipped = 0
                break
            except NotFiniteError as error:
                standing.skipped += 1
                if standing.skipped <= MOST_SKIPPED:
                    trainer.skip()
                    note = f"{error}; it is passed over"
                    break
                standing.skipped = 0
                standing.falls += 1
                if standing.falls > MOST_FALLS:
                    raise NotFiniteError(
                        f"{error}, at {trainer.factor:.3g} of the rate still; lower "
                        "--learning-rate or the weights"
                    ) from None
                state, step = self._good
                trainer.restore(state, step, trainer.factor / 2)
                standing.rows = [row for row in standing.rows if row[0] <= step]
                self._recent.clear()
                note = f"{error}; on from step {step} at {trainer.factor:g} of the rate"
        standing.step, standing.factor = trainer.step, trainer.factor
        if losses is not None:
            self._recent.append(losses)
        last = trainer.step == self.options.steps
        if self._recent and (last or trainer.step % ROW_EVERY == 0):
            standing.rows.append([trainer.step, *_mean(self._recent)])
            self._recent.clear()
        if losses is not None and trainer.step % GOOD_EVERY == 0:
            self._good = trainer.state(), trainer.step
        return losses, note

    def _validate(self) -> Losses | None:
        """Judges the average; where it is the best one until now, it is written."""
        self._judged = self.trainer.step
        # Copies, for squares are still being read ahead.
        sources = [crops.faults.copy() for crops in self._sources]
        found = {str(path): why for faults in sources for path, why in faults.items()}
        self.standing.faults |= self.crew.gather(found)
        if self.crew.rank:
            return None
        losses, sheet = self._validation.judge(self.trainer.average)
        best = self.standing.best
        self.standing.validations.append([self.trainer.step, *_mean([losses])])
        if best is None or losses.total < best[1]:
            self.standing.waited = 0
            state = self.trainer.average.state_dict()
            self._best = {key: value.detach().cpu().clone() for key, value in state.items()}
            self._write()
        else:
            self.standing.waited += 1
        write_image(sheet, sheet_of(self.output), overwrite=True)
        if self._snapshots is not None:
            make_folder(self._snapshots)
            write_image(sheet, self._snapshots / f"{self.trainer.step:06d}.png", overwrite=True)
        return losses

    # --- writing ---------------------------------------------------------------------------------

    def save(self) -> None:
        """Writes the checkpoint.

        Raises:
            OutputError: it cannot be written.
        """
        self.standing.seconds = time.monotonic() - self._began
        kept = Kept(self.standing, self.trainer.state(), self._best, self._record)
        write_kept(self.checkpoint, kept)
        self.saved = True

    def _write(self) -> None:
        network = copy.deepcopy(self.trainer.average).cpu()
        if self._best:
            network.load_state_dict(dict(self._best))
        write_network(self._network(network), self.output, overwrite=True)
        best = self.standing.best
        self.written = self.trainer.step if best is None else int(best[0])

    def _network(self, parts: nn.ModuleDict) -> Network:
        transfer, vectors = cast("Transfer", parts["transfer"]), parts["vectors"]
        if isinstance(vectors, StyleTable):
            return Network(transfer, table=vectors, card=self.card(), noise=self.options.noise)
        predictor = cast("StylePredictor", vectors)
        eyes = VGG(load_weights("vgg19"))
        noise = self.options.noise
        return Network(transfer, predictor=predictor, eyes=eyes, card=self.card(), noise=noise)

    def card(self) -> dict[str, Any]:
        """How the network was trained, plain data; of folders and files only their names."""
        material, standing = self.material, self.standing
        best = standing.best
        return {
            "kind": "styles" if material.styles else "any",
            "command": self.command(),
            "photos": _named(material.photos.path, len(material.photos.names)),
            "photos_sha256": material.photos.digest,
            "paintings": [
                {**_named(f.path, len(f.names)), "weight": f.weight, "sha256": f.digest}
                for f in material.paintings
            ],
            "styles": material.names,
            "options": self.options.model_dump(),
            "init": self._record["init"],
            "seed": self.options.seed,
            "steps": standing.step,
            "seconds": round(time.monotonic() - self._began, 1),
            "validation": None if best is None else _losses(best),
            "curve": [_losses(row) for row in standing.validations],
            "unreadable": len(standing.faults),
            "machine": {
                "device": str(self._features.device),
                "processes": self.crew.size,
                "threads": torch.get_num_threads(),
            },
            "features": self._features.sha256,
            "versions": {
                "impasto": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }

    def command(self) -> str:
        """What makes such a network, with the names of folders and files instead of their paths."""
        words = ["impasto", "train"]
        words += [_plain(source) for source in self.material.styles]
        for folder in self.material.paintings:
            weight = "" if folder.weight == 1 else f"={folder.weight:g}"
            words += ["--any", f"{Path(folder.path).absolute().name}{weight}"]
        words += ["--photos", Path(self.material.photos.path).absolute().name]
        words += ["-o", self.output.name]
        if self.material.photos.recursive:
            words.append("-r")
        if self._record["init"] is not None:
            words += ["--init", name_of(self._record["init"]) or "NETWORK"]
        usual = TrainingOptions().model_dump()
        for name, value in self.options.model_dump().items():
            if value != usual[name] and name not in ("device", "threads", "time_limit"):
                words += [f"--{name.replace('_', '-')}", f"{value}"]
        return shlex.join(words)


def checkpoint_of(output: Path) -> Path:
    """The file that keeps the unfinished training of a network's file."""
    return output.with_suffix(".ckpt")


def sheet_of(output: Path) -> Path:
    """The validation sheet of a network's file."""
    return output.with_suffix(".png")


def _plain(source: str) -> str:
    return source.partition(":")[2] if source.startswith("style:") else Path(source).name


def _named(path: str, count: int) -> dict[str, Any]:
    return {"folder": Path(path).absolute().name, "pictures": count}


def _mean(losses: Sequence[Losses]) -> list[float]:
    rows = [[one.total, one.content, one.style, one.smoothness] for one in losses]
    return [float(value) for value in np.mean(rows, axis=0)]


def _losses(row: Sequence[float]) -> dict[str, float]:
    names = ("loss", "content", "style", "smoothness")
    values = {name: round(value, 5) for name, value in zip(names, row[1:], strict=True)}
    return {"step": int(row[0]), **values}


def _whole(source: str, side: int) -> Tensor:
    """A style's picture, its long side `side` px."""
    bitmap = read_source(source, DEFAULT_MAX_PIXELS)
    if bitmap.alpha is not None and float(bitmap.alpha.max()) < 1 / 255:
        raise ImageError(
            f"{source}: is fully transparent, so there is no style in it; choose another"
        )
    picture = tensor_of(bitmap)
    width, height = fit_within(bitmap.width, bitmap.height, side)
    if picture.shape[-2:] != (height, width):
        picture = F.interpolate(picture, (height, width), mode="bilinear", antialias=True)
    return picture.clamp(0, 1)


def take_part(
    rank: int,
    size: int,
    place: str | None,
    material: Material,
    options: TrainingOptions,
    output: Path,
    init: Path | None,
    kept: Path | None,
) -> None:
    """What a process beside the first one does, from its begin to its end; see `Course`."""
    device = device_of(options, rank)
    set_threads(options, size)
    with joined(rank, size, place, device) as crew:
        course = Course(
            material,
            options,
            output,
            init=None if init is None else read_network(init),
            crew=crew,
            device=device,
            kept=None if kept is None else read_kept(kept),
        )
        for _ in course:
            pass
        course.finish()


def device_of(options: TrainingOptions, rank: int = 0) -> torch.device:
    """Where a process trains: each has a GPU of its own where there are several.

    Raises:
        OptionError: this machine has no such device.
    """
    device = pick_device(options.device)
    if device.type == "cuda":
        return torch.device("cuda", rank % torch.cuda.device_count())
    return device


def set_threads(options: TrainingOptions, size: int = 1) -> None:
    """Gives each of several processes its share of the cores, or what the options say."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    elif size > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // size))
