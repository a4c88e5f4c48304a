"""`impasto stylize`, `demo`, `reproduce` and `continue`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from impasto.cli import say
from impasto.cli.flags import flags, given
from impasto.cli.running import (
    Output,
    carry_out,
    check,
    check_together,
    check_values,
    free_name,
    name_beside,
)
from impasto.errors import ImageError, ImpastoError, OptionError, one_line
from impasto.options import StyleOptions, make_options
from impasto.paths import check_plain

_flags = flags(StyleOptions)
_demo_flags = flags(StyleOptions, ("style_weights", "regions"))
# Recorded settings name every option, so that a preset beside them would change nothing, and what
# is not given here stays as recorded.
_changes = flags(StyleOptions, ("preset",), None)
_larger = flags(StyleOptions, ("preset", "preview", "start"), None)
if TYPE_CHECKING:
    from impasto.images import Bitmap
    from impasto.run import Stylization

    Flags = DemoFlags = Changes = Larger = Any
else:
    Flags, DemoFlags, Changes, Larger = _flags, _demo_flags, _changes, _larger

_DEFAULT_OUTPUT = Output()
_NETWORKS = Group("Transfer networks", sort_key=5)
_NO_FLAGS, _NO_DEMO_FLAGS, _NO_CHANGES = _flags(), _demo_flags(), _changes()
_NO_LARGER = _larger()


def stylize(
    content: str,
    styles: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    start_image: str | None = None,
    mask: Annotated[list[str] | None, Parameter(negative="")] = None,
    style_mask: Annotated[
        list[str] | None, Parameter(negative="", allow_leading_hyphen=True)
    ] = None,
    fine_style: str | None = None,
    fast: Annotated[bool, Parameter(negative="", group=_NETWORKS)] = False,
    refine: Annotated[bool, Parameter(negative="", group=_NETWORKS)] = False,
    network: Annotated[str | None, Parameter(group=_NETWORKS)] = None,
    runtime: Annotated[Literal["auto", "torch", "onnx"], Parameter(group=_NETWORKS)] = "auto",
    output: Output = _DEFAULT_OUTPUT,
    options: Flags = _NO_FLAGS,
) -> int:
    """Repaint a photo in the style of one or several paintings.

    Args:
        content: The photo, or sample:NAME for a bundled one; with --fast also a folder.
        styles: The paintings, or names of built-in styles; several are blended.
        start_image: Start from this third image.
        mask: A grey picture, white where a region of the photo is, or labels.png#rrggbb for the
            parts of one colour; repeat it for more regions, each of which gets the painting of its
            number unless --regions says otherwise. What no mask covers stays as it is.
        style_mask: A mask of the part of a painting that lends its style; repeat it for each
            painting, with - for none.
        fine_style: A painting that lends all others its fine texture.
        fast: Repaint in one pass of a transfer network, in seconds; of a folder, every photo.
        refine: Start from what a transfer network makes of the pictures.
        network: With --fast or --refine: styles, which knows the built-in styles, any, which takes
            paintings, or a network's file; by default the first where all styles are built in.
        runtime: With --fast: what runs the network, torch, or onnxruntime without torch; auto takes
            the latter where it is installed and can do what is asked.
    """
    values = given(options)
    check_together(values, start_image)
    chosen = make_options(values)
    _check_networks(fast=fast, refine=refine, network=network, runtime=runtime)
    masks, style_masks = mask or [], [None if m == "-" else m for m in style_mask or ()]
    if fast:
        from impasto.cli import fast as in_one_pass

        for flag, value in ("--start-image", start_image), ("--fine-style", fine_style):
            if value is not None:
                raise OptionError(
                    f"{flag}: a transfer network cannot heed it; leave it out, or leave --fast out"
                )
        check_values(output)
        in_one_pass.check_fast(output)
        return in_one_pass.fast(
            *(content, styles, chosen, output),
            network=network,
            runtime=runtime,
            masks=masks,
            style_masks=style_masks,
        )
    if content and Path(content).is_dir():
        raise ImageError(
            f"{content}: is a folder; add --fast to repaint every photo in it, or name one picture "
            "inside it"
        )
    from impasto.sources import split_label

    read = [*masks, *(m for m in style_masks if m is not None), start_image, fine_style]
    check(output, [content, *styles, *(split_label(name)[0] for name in read if name)])
    path = output.output or name_beside(content, *styles)
    from impasto.run import stylization

    run = stylization(
        *(content, styles, chosen),
        start=start_image,
        masks=masks,
        style_masks=style_masks,
        fine=fine_style,
        refine=("auto" if network is None else network) if refine else None,
    )
    return carry_out(run, path, output)


def _check_networks(*, fast: bool, refine: bool, network: str | None, runtime: str) -> None:
    """Refuses flags of transfer networks that exclude each other, or that have no effect.

    Raises:
        OptionError: in the words of the flags.
    """
    if fast and refine:
        raise OptionError("--fast and --refine exclude each other; leave one out")
    if network is not None and not (fast or refine):
        raise OptionError("--network: acts only with --fast or --refine; add one, or leave it out")
    if runtime != "auto" and not fast:
        raise OptionError("--runtime: acts only with --fast; add that, or leave it out")


def demo(
    *,
    start_image: str | None = None,
    output: Output = _DEFAULT_OUTPUT,
    options: DemoFlags = _NO_DEMO_FLAGS,
) -> int:
    """Repaint a bundled photo in a built-in style, to see that everything works.

    Args:
        start_image: Start from this third image.
    """
    values = given(options)
    check_together(values, start_image)
    chosen = make_options(values)
    check(output)
    path = output.output or free_name(Path(), "impasto-demo")
    from impasto.run import stylization
    from impasto.samples import DEMO_PHOTO
    from impasto.styles import DEMO_STYLE

    run = stylization(f"sample:{DEMO_PHOTO}", f"style:{DEMO_STYLE}", chosen, start=start_image)
    return carry_out(run, path, output)


def reproduce(
    picture: Path, /, *, output: Output = _DEFAULT_OUTPUT, options: Changes = _NO_CHANGES
) -> int:
    """Run again what made a picture, from the settings inside it; flags given here replace them.

    Args:
        picture: A picture that impasto wrote.
    """
    check(output, [str(picture)])
    changes = given(options)
    check_together(changes)
    old = _read_old(picture, changes)
    path = output.output or free_name(picture.parent, f"{picture.stem}-again", picture.suffix)
    if (old.settings or {}).get("fast"):
        return _fast_again(picture, old, changes, path, _as_deep(output, path, old))
    run = _run_again(picture, old, changes)
    return carry_out(run, path, _as_deep(output, path, old))


def go_on(
    picture: Path, /, *, output: Output = _DEFAULT_OUTPUT, options: Larger = _NO_LARGER
) -> int:
    """Take a preview, or any smaller result, on to a larger size or to print.

    Args:
        picture: A picture that impasto wrote.
    """
    check(output, [str(picture)])
    changes = given(options)
    check_together(changes)
    check_plain(picture)
    old = _read_old(picture, changes)
    recorded = (old.settings or {}).get("options")
    preview = isinstance(recorded, dict) and recorded.get("preview")
    fast = (old.settings or {}).get("fast")  # refused below
    if not preview and not fast and not {"size", "print", "levels"} & set(changes):
        raise OptionError(f"{picture}: name the size to go on to, with --size or --print")
    run = _run_again(picture, old, changes, coarse=str(picture))
    path = output.output or free_name(picture.parent, f"{picture.stem}-large", picture.suffix)
    return carry_out(run, path, _as_deep(output, path, old))


def _read_old(picture: Path, changes: dict[str, Any]) -> Bitmap:
    """A picture that carries settings."""
    from impasto.images import DEFAULT_MAX_PIXELS, read_image

    old = read_image(picture, max_pixels=changes.get("max_pixels", DEFAULT_MAX_PIXELS))
    if old.settings is None:
        raise ImageError(
            f"{picture}: carries no settings of impasto; give a picture as impasto wrote it, "
            "not one saved again by another program"
        )
    return old


def _run_again(
    picture: Path, old: Bitmap, changes: dict[str, Any], coarse: str | None = None
) -> Stylization:
    """The run of a picture's settings; what differs from them is told."""
    from impasto.reproduction import from_settings

    try:
        run, warnings = from_settings(old.settings or {}, changes, coarse=coarse)
    except ImpastoError as error:
        raise type(error)(f"{picture}: {error}") from None
    for warning in warnings:
        say(f"impasto: warning: {one_line(warning)}")
    return run


def _fast_again(
    picture: Path, old: Bitmap, changes: dict[str, Any], path: Path, output: Output
) -> int:
    """The picture of one pass once more."""
    import time

    from impasto.cli import fast as in_one_pass
    from impasto.images import check_output

    in_one_pass.check_fast(output)
    check_output(path, overwrite=output.overwrite)
    began = time.monotonic()
    try:
        return in_one_pass.paint_again(old.settings or {}, changes, path, output, began=began)
    except ImpastoError as error:
        raise type(error)(f"{picture}: {error}") from None


def _as_deep(output: Output, path: Path, old: Bitmap) -> Output:
    """16 bits where the old picture has them, the new one can, and nothing else was said."""
    from impasto.images import check_output

    if output.output is not None or output.bits is not None or old.bits != 16:
        return output
    try:
        check_output(path, bits=16)
    except OptionError:
        say(f"impasto: warning: {path}: written with 8 bits, the most it holds")
        return output
    return replace(output, bits=16)
