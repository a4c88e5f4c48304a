"""From picture files and options to a finished, saved picture.

`stylize` does it in one call. `stylization` prepares the same run and is iterated for its
`Progress`; its `result` is the best picture so far at any moment. A picture that is saved carries
the settings that made it, and `from_settings` prepares that run again.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import impasto
from impasto.errors import ImageError, OptionError
from impasto.features import Features
from impasto.images import (
    DEFAULT_MAX_PIXELS,
    Bitmap,
    ImageSource,
    encode_image,
    fit_within,
    read_image,
    resize_image,
    write_image,
)
from impasto.optimize import Progress, optimize, start_picture
from impasto.options import MAX_SIDE, StyleOptions, make_options
from impasto.samples import sample_names, sample_path
from impasto.styles import draw_style, style_names
from impasto.targets import Painting

BUILT_IN_SIDE = 768
"""Side in px at which built-in styles are drawn for a run."""

SETTINGS_VERSION = 1
"""Version of the record that pictures carry."""


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """A finished picture. In a notebook it shows itself.

    Attributes:
        bitmap: its pixels, alpha and print resolution.
        settings: what made it, as plain data; saved inside the file.
        progress: the last evaluation of the run.
    """

    bitmap: Bitmap
    settings: dict[str, Any]
    progress: Progress | None = None

    def __repr__(self) -> str:
        return f"<Picture, {self.bitmap.width} x {self.bitmap.height} px>"

    @property
    def pixels(self) -> NDArray[np.float32]:
        """`(H, W, 3)`, sRGB in [0, 1]."""
        return np.ascontiguousarray(self.bitmap.pixels.transpose(1, 2, 0))

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        bits: Literal[8, 16] = 8,
        quality: int = 92,
        overwrite: bool = False,
    ) -> None:
        """Writes the picture with its settings inside.

        Args:
            path: the format follows from the extension.
            bits: 8 or 16 per channel (16: PNG and TIFF).
            quality: of JPEG, WebP and the like, 1 to 100.
            overwrite: replace an existing file.

        Raises:
            OptionError: the format cannot hold what is asked.
            OutputError: the file exists or cannot be written.
        """
        write_image(
            self.bitmap,
            path,
            bits=bits,
            quality=quality,
            overwrite=overwrite,
            settings=self.settings,
        )

    def _repr_png_(self) -> bytes:
        return encode_image(self.bitmap, "png")


class Stylization:
    """A prepared run: an iterator of `Progress` whose `result` may be taken at any moment.

    Args:
        features: the network.
        content: the photo at the result's size, or `None`.
        paintings: what to paint in the style of.
        start: the start picture, `(1, 3, H, W)` in [0, 1].
        options: everything else.
        settings: the record that the result will carry.
    """

    def __init__(
        self,
        features: Features,
        content: Bitmap | None,
        paintings: Sequence[Painting],
        start: Tensor,
        options: StyleOptions,
        settings: dict[str, Any],
    ) -> None:
        self.options = options
        self.last: Progress | None = None
        self._content, self._start, self._settings = content, start, settings
        photo = None if content is None else _tensor(content)
        self._progress = optimize(features, photo, paintings, start, options)

    @property
    def inputs(self) -> list[str]:
        """Paths of the picture files that the run was made from."""
        entries = [self._settings["content"], *self._settings["styles"], self._settings["start"]]
        paths = [entry["path"] for entry in entries if entry is not None]
        return [path for path in paths if path and not is_built_in(path)]

    @property
    def weights_sha256(self) -> str:
        """Digest of the network's weights."""
        return self._settings["weights_sha256"]

    @property
    def width(self) -> int:
        """Width of the result, px."""
        return self._start.shape[-1]

    @property
    def height(self) -> int:
        """Height of the result, px."""
        return self._start.shape[-2]

    def __iter__(self) -> Iterator[Progress]:
        """The run itself, so that `for progress in stylization(…)` works."""
        return self

    def __next__(self) -> Progress:
        """Evaluates once more.

        Raises:
            OptionError: a layer that the network has not.
            RunError: the loss is not finite even at the start, or memory ran out.
        """
        self.last = next(self._progress)
        return self.last

    def close(self) -> None:
        """Cancels the run; `result` still answers."""
        self._progress.close()  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def result(self) -> Picture:
        """The best picture so far, at the full size; before the first evaluation, the start."""
        picture = self._start if self.last is None else self.last.picture
        pixels = picture[0].detach().float().cpu().numpy().clip(0, 1)
        content = self._content
        bitmap = Bitmap(
            pixels,
            None if content is None else content.alpha,
            8,
            None if content is None else content.dpi,
        )
        settings = dict(self._settings)
        if self.last is not None:
            terms = self.last.best_terms
            settings["result"] = {
                "evaluations": self.last.done,
                "loss": terms.loss,
                "content": terms.content,
                "style": terms.style,
                "tv": terms.tv,
            }
        return Picture(bitmap, settings, self.last)


def stylization(
    content: ImageSource | None,
    style: ImageSource | Sequence[ImageSource],
    options: StyleOptions | None = None,
    *,
    start: ImageSource | None = None,
) -> Stylization:
    """Prepares a run; iterate over it to make the picture form.

    `options.threads`, where given, sets PyTorch's threads for the whole process.

    Args:
        content: the photo: a path, `sample:NAME` for a bundled photo, `style:NAME` for a built-in
            style picture, the bytes of a file, a PIL image, an array or a `Bitmap`. `None` leaves
            the content term out: the result is a texture in the painting's shape.
        style: one painting or several, likewise; none only where the style weight is 0.
        options: how; the defaults if not given.
        start: a third image to start from; implies `start="image"`.

    Raises:
        ImageError: a picture cannot be read.
        OptionError: options that do not fit the pictures or each other.
        WeightsError: the network's weights cannot be loaded.
    """
    options = StyleOptions() if options is None else options
    if not isinstance(options, StyleOptions):
        raise OptionError(
            f"options: give a StyleOptions, such as StyleOptions(size=512), not a "
            f"{type(options).__name__}"
        )
    several = isinstance(style, Sequence) and not isinstance(
        style, str | bytes | bytearray | memoryview
    )
    sources: list[Any] = list(cast("Sequence[ImageSource]", style)) if several else [style]
    if start is not None and options.start != "image":
        options = options.model_copy(update={"start": "image"})
    settings = _record(options, content, sources, start)
    shares = list(options.style_weights) or [1.0] * len(sources)
    if len(shares) != len(sources):
        raise OptionError(
            f"--style-weights: {len(shares)} shares for {len(sources)} paintings; give one "
            "for each, with commas and no blanks, such as --style-weights 2,1"
        )
    if not sources and options.style_weight > 0:
        raise OptionError(
            "there is no painting: give one, or leave style out with --style-weight 0"
        )
    photo = None if content is None else _read(content, options.max_pixels)
    # Twice the result's size is all that any level looks at.
    styles = [_no_larger(_read(source, options.max_pixels), 2 * options.size) for source in sources]
    shape = photo or (styles[0] if styles else None)
    if shape is None:
        raise OptionError("give a photo or a painting to work from")
    width, height = fit_within(shape.width, shape.height, options.size)
    if photo is not None:
        photo = _visible(resize_image(photo, width, height))
    paintings = [_painting(bitmap, source) for bitmap, source in zip(styles, sources, strict=True)]
    third = None
    if start is not None:
        third = _tensor(resize_image(_read(start, options.max_pixels), width, height))
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    first = start_picture(
        options.start,
        width,
        height,
        content=None if photo is None else _tensor(photo),
        styles=paintings,
        shares=shares,
        image=third,
        seed=options.seed,
    )
    features = Features(
        options.model,
        pooling=options.pooling,
        rescale=options.rescale,
        padding=options.padding,
        layers=[
            *(options.content_layers if options.content_weight > 0 else ()),
            *(options.style_layers if options.style_weight > 0 else ()),
        ],
        device=pick_device(options.device),
    )
    settings["weights_sha256"] = features.sha256
    return Stylization(features, photo, paintings, first, options, settings)


def stylize(
    content: ImageSource,
    style: ImageSource | Sequence[ImageSource],
    options: StyleOptions | None = None,
    *,
    start: ImageSource | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Picture:
    """Repaints a photo in the style of one or several paintings.

    Args:
        content: the photo: a path, `sample:NAME` for a bundled photo, `style:NAME` for a built-in
            style picture, the bytes of a file, a PIL image, an array or a `Bitmap`.
        style: one painting or several, likewise.
        options: how; the defaults if not given.
        start: a third image to start from.
        on_progress: called after every evaluation.

    Returns:
        The picture; `save` writes it.

    Raises:
        ImpastoError: anything that `impasto.errors` lists.
    """
    run = stylization(content, style, options, start=start)
    for progress in run:
        if on_progress is not None:
            on_progress(progress)
    return run.result


def from_settings(
    settings: Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> tuple[Stylization, list[str]]:
    """Prepares the run that made a picture again.

    Args:
        settings: the record that the picture carries.
        changes: options to replace.

    Returns:
        The run, and a line for each input or version that differs from what the record says.

    Raises:
        ImageError: an input is gone, or was not a file.
        OptionError: the record is not one of impasto's or of a later version.
    """
    recorded, styles = settings.get("options"), settings.get("styles")
    if (
        settings.get("version") != SETTINGS_VERSION
        or not isinstance(recorded, Mapping)
        or not isinstance(styles, list)
    ):
        raise OptionError(
            "the picture's settings are not of a version that this impasto can read "
            f"({SETTINGS_VERSION}); use the version that made it, or stylize with the originals"
        )
    changes = changes or {}
    # A size or levels given anew replace both, since recorded levels end at the recorded size.
    follow = {"size": "levels", "levels": "size"}
    replaced = {follow[name] for name in changes if name in follow}
    kept = {name: value for name, value in recorded.items() if name not in replaced}
    options = make_options({**kept, **changes})
    warnings = []
    if settings.get("impasto") != impasto.__version__:
        warnings.append(
            f"the picture was made by impasto {settings.get('impasto')}, this is "
            f"{impasto.__version__}"
        )
    if settings.get("torch") != torch.__version__:
        warnings.append(
            f"the picture was made with torch {settings.get('torch')}, this is "
            f"{torch.__version__}; small differences may follow"
        )
    start = settings.get("start")
    if isinstance(start, Mapping) and options.start != "image":
        start = None
    inputs = [settings.get("content"), *styles, start]
    for entry in inputs:
        if entry is None:
            continue
        path = entry.get("path") if isinstance(entry, Mapping) else None
        if not path or not isinstance(path, str):
            raise ImageError(
                "the picture was made from a picture in memory, which its settings cannot name; "
                "run stylize with the original again"
            )
        if not is_built_in(path) and _is_special(path):
            # Reading a pipe or a device may never end, and a foreign record can name any.
            raise ImageError(
                f"{path}: is a pipe or a device now, not the picture that was used; run stylize "
                "with the original again"
            )
        if not is_built_in(path) and not os.path.lexists(path):
            raise ImageError(
                f"{path}: is gone, and the picture was made from it; put it back, or run stylize "
                "with it where it is now"
            )
        now = _input(path)
        if now and now["sha256"] not in ("", entry.get("sha256")):
            warnings.append(f"{path}: has changed since the picture was made")
    paths = [entry and entry["path"] for entry in inputs]
    run = stylization(paths[0], paths[1:-1], options, start=paths[-1])
    if run.weights_sha256 != settings.get("weights_sha256"):
        warnings.append(f"the weights of {options.model} are others than the picture's")
    return run, warnings


def feature_maps(
    picture: ImageSource,
    layers: Sequence[str],
    *,
    model: str = "vgg19",
    size: int = 256,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """What a network's layers see in a picture.

    Args:
        picture: as for `stylize`.
        layers: names in either scheme.
        model: `vgg16` or `vgg19`, with `:VARIANT` if wanted.
        size: long side to which the picture is brought, px.
        max_pixels: largest picture file to read, in pixels.

    Returns:
        The resized picture `(H, W, 3)`, and layer → feature maps `(C, h, w)`, ≥ 0.
    """
    bitmap = _read(picture, max_pixels)
    bitmap = _visible(
        resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, check_side(size)))
    )
    features = Features(model, layers=layers)
    with torch.no_grad():
        found = features.extract(_tensor(bitmap), layers)
    maps = {name: found[name][0].contiguous().numpy() for name in found}
    return np.ascontiguousarray(bitmap.pixels.transpose(1, 2, 0)), maps


def check_side(size: int) -> int:
    """A long side in px.

    Raises:
        OptionError: it is out of range.
    """
    if not 1 <= size <= MAX_SIDE:
        raise OptionError(f"--size {size}: must lie in 1 to {MAX_SIDE}")
    return size


def pick_device(name: str) -> torch.device:
    """The device of an option value; `auto` prefers CUDA, then Apple's MPS, then the CPU.

    Raises:
        OptionError: this machine or this build of torch has no such device.
    """
    available = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there())
    if not available[name]():
        raise OptionError(f"--device {name}: not available here; use --device auto or cpu")
    return torch.device(name)


def is_built_in(source: Any) -> bool:
    """Whether a source names a picture that comes with the package: `sample:…` or `style:…`."""
    return isinstance(source, str) and source.startswith(("sample:", "style:"))


def _read(source: Any, max_pixels: int) -> Bitmap:
    if not is_built_in(source):
        if isinstance(source, str) and not os.path.lexists(source):
            for kind, names in ("style", style_names()), ("sample", sample_names()):
                if source in names:
                    raise ImageError(
                        f"{source}: no such file; the built-in picture is {kind}:{source}"
                    )
        return read_image(source, max_pixels=max_pixels)
    kind, _, name = source.partition(":")
    if kind == "sample":
        return read_image(sample_path(name))
    return Bitmap(draw_style(name, BUILT_IN_SIDE, BUILT_IN_SIDE))


def _tensor(bitmap: Bitmap) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(bitmap.pixels))[None]


def _no_larger(bitmap: Bitmap, side: int) -> Bitmap:
    if max(bitmap.width, bitmap.height) <= side:
        return bitmap
    return resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, side))


def _visible(bitmap: Bitmap) -> Bitmap:
    """Invisible pixels hold arbitrary colours (often black): the mean visible colour instead."""
    if bitmap.alpha is None or float(bitmap.alpha.min()) >= 1 / 255:
        return bitmap
    seen = bitmap.alpha >= 1 / 255
    mean = bitmap.pixels[:, seen].mean(axis=1) if seen.any() else np.full(3, 0.5, np.float32)
    pixels = np.where(seen, bitmap.pixels, mean[:, None, None]).astype(np.float32)
    return replace(bitmap, pixels=pixels)


def _painting(bitmap: Bitmap, source: Any) -> Painting:
    if bitmap.alpha is None:
        return Painting(_tensor(bitmap))
    if float(bitmap.alpha.max()) < 1 / 255:
        name = source if isinstance(source, str | os.PathLike) else "the painting"
        raise ImageError(
            f"{name}: is fully transparent, so there is no style in it; choose another"
        )
    return Painting(_tensor(_visible(bitmap)), torch.from_numpy(bitmap.alpha.copy()))


def _record(
    options: StyleOptions, content: Any, styles: Sequence[Any], start: Any
) -> dict[str, Any]:
    return {
        "version": SETTINGS_VERSION,
        "impasto": impasto.__version__,
        "torch": torch.__version__,
        "options": options.model_dump(mode="json", exclude={"preset"}) | {"preset": options.preset},
        "content": _input(content),
        "styles": [_input(style) for style in styles],
        "start": _input(start),
    }


def _input(source: Any) -> dict[str, Any] | None:
    if source is None:
        return None
    if is_built_in(source):
        return {"path": source, "sha256": ""}
    if isinstance(source, str | os.PathLike):
        path = Path(source).absolute()
        try:
            return {"path": str(path), "sha256": _file_sha256(path)}
        except (OSError, ValueError):
            # read_image names the fault, in the words for pictures.
            return {"path": str(path), "sha256": ""}
    if isinstance(source, bytes | bytearray | memoryview):
        return {"path": "", "sha256": hashlib.sha256(bytes(source)).hexdigest()}
    return {"path": "", "sha256": ""}


def _is_special(path: str) -> bool:
    try:
        kind = Path(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(kind) and not stat.S_ISDIR(kind)


def _file_sha256(path: Path) -> str:
    if not path.is_file():
        # A pipe can be read only once, and read_image has to.
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
