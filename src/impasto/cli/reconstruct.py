"""`impasto reconstruct`: what a layer keeps of a picture, and what a style is made of.

Gatys, Ecker & Bethge, A Neural Algorithm of Artistic Style (2015), figure 1: pictures found from
noise that match the content features, or the style statistics, of given layers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from impasto.cli import EXIT_INTERRUPTED, say
from impasto.cli.flags import flags, given
from impasto.cli.running import (
    Output,
    carry_out,
    check,
    check_apart,
    check_together,
    name_beside,
    one_interrupt,
)
from impasto.errors import ImpastoError, OptionError
from impasto.options import StyleOptions, make_options, parse_layers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from impasto.run import Stylization

app = App(
    name="reconstruct",
    help="See what layers know: pictures rebuilt from content or style alone.",
    help_format="plaintext",
)

_START = (("start", "noise"),)
_ROLES = ("preset", "content_weight", "content_layers", "style_weight", "style_layers")
_OF_PHOTO = ("photoreal_weight", "strength", "regions")
# There is no photo, or no painting, to take colours from.
_COLORS = ("color", "color_strength", "color_method", "color_space")
_DEFAULT_OUTPUT = Output()
_content_flags = flags(
    StyleOptions,
    (*_ROLES, *_OF_PHOTO, *_COLORS, "style_weights", "style_scale", "style_loss"),
    (*_START, ("tv_weight", 0.0), ("single_level", True)),
)
_style_flags = flags(
    StyleOptions,
    (*_ROLES, *_OF_PHOTO, *_COLORS),
    (*_START, ("tv_weight", 0.0), ("style_loss", "gram")),
)
if TYPE_CHECKING:
    ContentFlags = StyleFlags = Any
else:
    ContentFlags, StyleFlags = _content_flags, _style_flags
_NO_CONTENT_FLAGS, _NO_STYLE_FLAGS = _content_flags(), _style_flags()


@app.command
def content(
    photo: str,
    /,
    *,
    layer: str = "relu4_2",
    start_image: str | None = None,
    output: Output = _DEFAULT_OUTPUT,
    options: ContentFlags = _NO_CONTENT_FLAGS,
) -> int:
    """Rebuild a photo from one layer's features, from noise.

    Args:
        photo: The photo.
        layer: Content layers, as LAYER or LAYER=WEIGHT,…
        start_image: Start from this image.
    """
    values = given(options)
    check_together(values, start_image)
    chosen = content_options(layer, values)
    check(output, [photo])
    path = output.output or name_beside(photo, ending=f"-{layer.partition('=')[0]}")
    from impasto.run import stylization

    return carry_out(stylization(photo, [], chosen, start=start_image), path, output)


@app.command
def style(
    paintings: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    layers: str = "relu1_1,relu2_1,relu3_1,relu4_1,relu5_1",
    start_image: str | None = None,
    output: Output = _DEFAULT_OUTPUT,
    options: StyleFlags = _NO_STYLE_FLAGS,
) -> int:
    """Make a new texture from a painting's style statistics alone, from noise.

    Args:
        paintings: The paintings; several are blended.
        layers: Style layers, as LAYER or LAYER=WEIGHT,…
        start_image: Start from this image.
    """
    values = given(options)
    check_together(values, start_image)
    chosen = style_options(layers, values)
    check(output, paintings)
    path = output.output or name_beside(*paintings, ending="-texture")
    from impasto.run import stylization

    return carry_out(stylization(None, list(paintings), chosen, start=start_image), path, output)


@app.command
def figure(
    photo: str,
    painting: str,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    content_layers: str = "relu1_2,relu2_2,relu3_2,relu4_2,relu5_2",
    style_layers: str = "relu1_1,relu2_1,relu3_1,relu4_1,relu5_1",
    model: str = "vgg19",
    size: int = 224,
    evaluations: int = 200,
    seed: int = 0,
    max_pixels: int | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    threads: int | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Draw all layers side by side, with max and average pooling, as the papers' first figure.

    Content is rebuilt from each layer alone; style from each layer together with all before it. The
    content layers are those of Gatys et al. 2016; the report of 2015 has relu1_1 … relu5_1. Ctrl-C
    draws what is finished and leaves the other cells empty.

    Args:
        photo: The photo.
        painting: The painting.
        output: The figure to write: PNG, SVG or PDF.
        content_layers: A column for each.
        style_layers: A column for each.
        model: vgg19 or vgg16, with :VARIANT if wanted.
        size: Long side of each picture, px.
        evaluations: Evaluations for each picture.
        seed: Seed of the noise that each one starts from.
        max_pixels: Largest picture file to read, in pixels.
        device: Where to run.
        threads: CPU threads; by default as many as there are cores.
        overwrite: Replace a file that exists.
        quiet: Show no progress and no summary.
    """
    from impasto.memory import limit_heap
    from impasto.report import check_figure, plot_grid
    from impasto.run import stylization

    check_figure(output, overwrite=overwrite)
    check_apart({"--output": output}, [photo, painting])
    contents = _names("--content-layers", content_layers)
    styles = _names("--style-layers", style_layers)
    if len(contents) != len(styles):
        raise OptionError("--content-layers and --style-layers: name as many of one as the other")
    values: dict[str, Any] = {
        "model": model,
        "size": size,
        "evaluations": evaluations,
        "seed": seed,
        "device": device,
    }
    values |= {} if max_pixels is None else {"max_pixels": max_pixels}
    values |= {} if threads is None else {"threads": threads}
    columns = range(len(contents))
    rows: dict[str, list[Callable[[], Stylization]]] = {}
    for pooling in ("max", "average"):
        pooled = {**values, "pooling": pooling}
        contents_options = [content_options(layer, pooled) for layer in contents]
        styles_options = [style_options(",".join(styles[: i + 1]), pooled) for i in columns]
        rows[f"content, {pooling} pooling"] = [
            partial(stylization, photo, [], one) for one in contents_options
        ]
        rows[f"style, {pooling} pooling"] = [
            partial(stylization, None, painting, one) for one in styles_options
        ]
    # All layers at once for their faults, before hours of work; each picture in its turn later.
    stylization(photo, [], content_options(",".join(contents), values))
    stylization(None, painting, style_options(",".join(styles), values))
    cells: list[list[NDArray[np.float32] | None]] = [[None for _ in columns] for _ in rows]
    total, done, began = len(rows) * len(columns), 0, time.monotonic()
    limit_heap()
    failure: ImpastoError | None = None
    interrupted = False
    with one_interrupt() as write_undisturbed:
        try:
            for made, (row, prepared) in zip(cells, rows.items(), strict=True):
                for column, prepare in enumerate(prepared):
                    if not quiet:
                        say(f"{row}: {column + 1} of {len(columns)}{_left(began, done, total)}")
                    run = prepare()
                    for _ in run:
                        pass
                    made[column] = run.result.pixels
                    done += 1
        except KeyboardInterrupt:
            interrupted = True
        except ImpastoError as error:
            failure = error
        if done == 0 and failure is not None:
            raise failure
        if done == 0 and interrupted:
            raise KeyboardInterrupt
        write_undisturbed()
        sums = [styles[0], *(f"… + {name}" for name in styles[1:])]
        labels = [f"{one}\n{many}" for one, many in zip(contents, sums, strict=True)]
        plot_grid(cells, output, rows=list(rows), columns=labels, overwrite=overwrite)
    if failure is not None:
        raise type(failure)(f"{failure}; what was finished is in {output}")
    if not quiet:
        kept = "stopped early; what was finished is in " if interrupted else ""
        print(f"{kept}{output}")
    return EXIT_INTERRUPTED if interrupted else 0


def _names(flag: str, layers: str) -> list[str]:
    try:
        parse_layers(layers)
    except ValueError as error:
        raise OptionError(f"{flag}: {error}") from None
    return [name.strip() for name in layers.split(",") if name.strip()]


def _left(began: float, done: int, total: int) -> str:
    if done == 0:
        return ""
    minutes = (time.monotonic() - began) / done * (total - done) / 60
    return f", about {minutes:.0f} min left" if minutes >= 1 else ", under a minute left"


def content_options(layers: str, values: dict[str, Any]) -> StyleOptions:
    """Options that rebuild content alone, from noise unless another start is given."""
    return make_options(
        {
            "start": "noise",
            "single_level": True,
            "tv_weight": 0.0,
            **values,
            "content_layers": layers,
            "style_weight": 0.0,
        }
    )


def style_options(layers: str, values: dict[str, Any]) -> StyleOptions:
    """Options that rebuild style alone, from noise unless another start is given."""
    return make_options(
        {
            "start": "noise",
            "style_loss": "gram",
            "tv_weight": 0.0,
            **values,
            "style_layers": layers,
            "content_weight": 0.0,
        }
    )
