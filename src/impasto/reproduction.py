"""Runs prepared again from a record: that of a picture, to make it once more, or that of a
checkpoint, to go on with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

import impasto
from impasto.checkpoint import Checkpoint, read_checkpoint
from impasto.devices import Networks
from impasto.errors import CheckpointError, ImageError, InputError, OptionError, one_line
from impasto.images import ImageSource
from impasto.memory import Limit
from impasto.options import idle_color_options, make_options
from impasto.paths import special
from impasto.run import (
    CHANGES,
    SETTINGS_VERSION,
    Change,
    Stylization,
    stylization,
)
from impasto.sources import describe_source, is_built_in, split_label

_LIMITS = TypeAdapter(list[Limit])
_DAMAGED_SETTINGS = "the picture's settings are damaged; use a copy, or stylize with the originals"


def from_settings(
    settings: Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
    *,
    coarse: ImageSource | None = None,
) -> tuple[Stylization, list[str]]:
    """Prepares the run that made a picture again.

    Args:
        settings: the record that the picture carries.
        changes: options to replace.
        coarse: the picture itself, to go on from it to a larger size.

    Returns:
        The run, and a line for each input or version that differs from what the record says.

    Raises:
        ImageError: an input is gone, or was not a file.
        OptionError: the record is not one of impasto's or of a later version, or of a picture made
            in one pass of a transfer network.
    """
    if settings.get("fast"):
        raise OptionError(
            "the picture was made in one pass, not by evaluations that could go on; make it in "
            "another size with 'impasto reproduce --size', or stylize the photo with --refine"
        )
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
    kept = dict(recorded)
    # Recorded levels end at the recorded size: either of the two, given anew, replaces both.
    if "size" in changes:
        kept.pop("levels", None)
        kept.pop("print", None)
    if "print" in changes or ("dpi" in changes and kept.get("print")):
        kept.pop("levels", None)
        kept.pop("size", None)
    if make_options({"levels": changes.get("levels", "auto")}).levels:
        kept.pop("size", None)
        kept.pop("print", None)
    if coarse is not None:
        kept["preview"] = False
    warnings = []
    strengths = _strengths_of(settings)
    if strengths and (changes or coarse is not None):
        # They belong to the evaluations of the run as it was; what it had in the end goes on.
        kept["strength"] = strengths[-1].strength
        if coarse is None and "strength" not in changes:
            warnings.append(
                "the strength was changed while the picture was made; with other options all of it "
                f"has the last one, {strengths[-1].strength:g}"
            )
        strengths = []
    options = make_options(without_idle({**kept, **changes}, changes))
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
    if start is None and options.start == "image":
        raise OptionError(
            "--start image: the picture was made without one; run stylize with --start-image FILE"
        )
    lower = settings.get("coarse") if coarse is None else None
    inputs = [settings.get("content"), *styles, start]
    masks, style_masks = _masks_of(settings)
    changed: list[str] = []
    fine, refine = settings.get("fine"), _network_of(settings)
    if coarse is not None or start is not None or options.start != "recolored":
        refine = None
    for entry in [*inputs, *masks, *style_masks, fine, lower]:
        if entry is None:
            continue
        path = entry.get("path") if isinstance(entry, Mapping) else None
        if not path or not isinstance(path, str):
            raise ImageError(
                "the picture was made from a picture in memory, which its settings cannot name; "
                "run stylize with the original again"
            )
        file = split_label(path)[0]
        if not is_built_in(path) and special(file):
            # Reading a pipe or a device may never end, and a foreign record can name any.
            raise ImageError(
                f"{path}: is a pipe or a device now, not the picture that was used; run stylize "
                "with the original again"
            )
        if not is_built_in(path) and not os.path.lexists(file):
            raise ImageError(
                f"{file}: is gone, and the picture was made from it; put it back, or run stylize "
                "with it where it is now"
            )
        now = describe_source(path)
        if now and now["sha256"] not in ("", entry.get("sha256")):
            changed.append(f"{path}: has changed since the picture was made")
    warnings += changed
    try:
        limits = _LIMITS.validate_python(settings.get("limits", []))
    except ValidationError:
        raise OptionError(_DAMAGED_SETTINGS) from None
    if changes or coarse is not None:
        # They belong to the levels, and to the memory, of the run as it was.
        limits = []
    paths = [entry and entry["path"] for entry in inputs]
    if coarse is None and lower is not None:
        coarse = lower["path"]
    try:
        run = stylization(
            *(paths[0], paths[1:-1], options),
            start=paths[-1],
            masks=[entry["path"] for entry in masks if entry is not None],
            style_masks=[entry and entry["path"] for entry in style_masks],
            fine=fine and fine["path"],
            coarse=coarse,
            refine=refine,
            limits=limits,
        )
    except InputError as error:
        if not changed:
            raise
        # Such as for a photo of another shape: what is wrong is the file, not the options.
        raise type(error)(f"{changed[0]}; put the old one back ({error})") from None
    run.follow(strengths)
    if refine is not None and run.settings["refine"] != settings["refine"]:
        warnings.append(f"the network {refine} is another than the picture's, or runs otherwise")
    if run.weights_sha256 != settings.get("weights_sha256"):
        warnings.append(f"the weights of {options.model} are others than the picture's")
    # Records of earlier versions do not say it.
    precision = settings.get("precision", run.precision)
    if precision != run.precision and "precision" not in changes:
        warnings.append(
            f"the picture was made in {precision}, this is {run.precision}; small differences may "
            "follow"
        )
    return run, warnings


def resume(
    path: str | os.PathLike[str],
    *,
    content: ImageSource | None = None,
    style: ImageSource | Sequence[ImageSource] | None = None,
    start: ImageSource | None = None,
    masks: Sequence[ImageSource] | None = None,
    style_masks: Sequence[ImageSource | None] | None = None,
    fine: ImageSource | None = None,
    coarse: ImageSource | None = None,
    device: str | None = None,
    threads: int | None = None,
    memory: int | None = None,
    networks: Networks | None = None,
) -> Stylization:
    """Takes up a run where `Stylization.checkpoint`, or `--checkpoint`, left it.

    On the same machine with the same versions it evaluates the same points and ends in the same
    bytes as if it had never been interrupted; its `warnings` say what differs. Pictures are read
    again where the run read them. Those that it had from memory have to be given again, and files
    that have moved may be: a picture that is not the one of the run is refused.

    Args:
        path: the checkpoint.
        content: the photo.
        style: the paintings, all of them.
        start: the third image to start from.
        masks: of the regions, all of them.
        style_masks: of the paintings, all of them.
        fine: the painting that lends its fine texture.
        coarse: the smaller result that the run goes on from.
        device: where to run; as recorded by default.
        threads: CPU threads; as recorded by default.
        memory: bytes that the process may hold; as recorded by default. With another amount the
            bytes of the result may differ.
        networks: where to look for the network first; by default it is loaded for this run.

    Raises:
        CheckpointError: the checkpoint is missing, damaged or of a later version, or a picture or
            the network's weights are gone or not those of the run.
        ImageError: a picture cannot be read.
        OptionError: this machine has no such device, or it does not know the run's precision.
        WeightsError: the network's weights cannot be loaded.
    """
    checkpoint = read_checkpoint(path)
    return from_checkpoint(
        *(checkpoint, path),
        content=content,
        style=style,
        start=start,
        masks=masks,
        style_masks=style_masks,
        fine=fine,
        coarse=coarse,
        device=device,
        threads=threads,
        memory=memory,
        networks=networks,
    )


def from_checkpoint(
    checkpoint: Checkpoint,
    path: str | os.PathLike[str],
    *,
    content: Any = None,
    style: Any = None,
    start: Any = None,
    masks: Any = None,
    style_masks: Any = None,
    fine: Any = None,
    coarse: Any = None,
    device: str | None = None,
    threads: int | None = None,
    memory: int | None = None,
    networks: Networks | None = None,
) -> Stylization:
    """Like `resume`, from a checkpoint that has been read already from `path`."""
    name, settings = one_line(os.fspath(path)), checkpoint.settings
    recorded, styles = settings.get("options"), settings.get("styles")
    if (
        settings.get("version") != SETTINGS_VERSION
        or not isinstance(recorded, Mapping)
        or not isinstance(styles, list)
    ):
        raise CheckpointError(f"{name}: holds no run that this impasto knows; begin the run anew")
    several = isinstance(style, Sequence) and not isinstance(style, str | bytes | bytearray)
    given = style if several else [style] * (style is not None)
    if given and len(given) != len(styles):
        raise CheckpointError(f"{name}: the run has {len(styles)} paintings, not {len(given)}")
    entries = [settings.get(role) for role in ("content", "start", "coarse", "fine")]
    entries[1:1] = styles
    covers: list[list[Any]] = []
    for role, recorded_masks, anew in zip(
        ("masks", "style_masks"), _masks_of(settings), (masks, style_masks), strict=True
    ):
        if anew and len(anew) != len(recorded_masks):
            raise CheckpointError(f"{name}: the run has {len(recorded_masks)} {role}")
        again = list(anew or [None] * len(recorded_masks))
        pairs = zip(recorded_masks, again, strict=True)
        covers.append([_same_picture(entry, source, role, name) for entry, source in pairs])
        entries += recorded_masks
    pictures = len(entries) - sum(len(one) for one in covers)
    sources = [
        _same_picture(entry, source, role, name)
        for entry, source, role in zip(
            entries[:pictures],
            [content, *(given or [None] * len(styles)), start, coarse, fine],
            ["content", *["style"] * len(styles), "start", "coarse", "fine"],
            strict=True,
        )
    ]
    changes = {"device": device, "threads": threads, "memory": memory}
    # On the same device the run keeps to the memory that it began with, because tiles and histories
    # depend on it.
    same = device is None and memory is None
    kept = checkpoint.machine.get("memory") if device is None else None
    if type(kept) is not int or kept < 1:
        kept = None
    try:
        given_anew = {name: value for name, value in changes.items() if value is not None}
        options = make_options(without_idle({**recorded, **given_anew}, given_anew))
        photo, *paintings, third, lower, lender = sources
        run = stylization(
            *(photo, paintings, options),
            start=third,
            masks=covers[0],
            style_masks=covers[1],
            fine=lender,
            coarse=lower,
            refine=_network_of(settings),
            memory=kept,
            limits=_LIMITS.validate_python(settings.get("limits", [])) if same else (),
            networks=networks,
        )
    except ValidationError:
        raise CheckpointError(_damaged(name)) from None
    except OptionError as error:
        raise OptionError(f"{name}: {error}") from None
    if run.weights_sha256 != settings.get("weights_sha256"):
        raise CheckpointError(
            f"{name}: the weights of {options.model} are not those that the run was begun with; "
            "bring those back (see: impasto weights verify), or begin the run anew"
        )
    if run.settings.get("refine") != settings.get("refine"):
        raise CheckpointError(
            f"{name}: the network that the run's start picture was made with is another now, or "
            "runs otherwise; bring that back, or begin the run anew"
        )
    for program, version in ("impasto", impasto.__version__), ("torch", torch.__version__):
        if settings.get(program) != version:
            run.warnings.append(
                f"the run was begun with {program} {settings.get(program)}, this is {version}; "
                "small differences may follow"
            )
    if run.pictures_sha256 != checkpoint.pictures_sha256:
        if any(
            entry and not entry["sha256"] and not is_built_in(entry["path"]) for entry in entries
        ):
            raise CheckpointError(
                f"{name}: the pictures are not those that the run was begun with; bring those back"
            )
        run.warnings.append("the pictures are read a little differently than when the run began")
    try:
        run.go_on_from(checkpoint, path)
    except (ValueError, KeyError):
        raise CheckpointError(_damaged(name)) from None
    return run


def _strengths_of(settings: Mapping[str, Any]) -> list[Change]:
    """The strengths that a run took on while it went on."""
    try:
        return CHANGES.validate_python(settings.get("strengths", []))
    except ValidationError:
        raise OptionError(_DAMAGED_SETTINGS) from None


def _network_of(settings: Mapping[str, Any]) -> str | None:
    """The transfer network whose picture a run started from, if it did."""
    found = settings.get("refine")
    return str(found.get("name")) if isinstance(found, Mapping) else None


def _masks_of(settings: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """The records of the regions' masks and of the paintings'; none in those of older versions."""
    found = [settings.get("masks", []), settings.get("style_masks", [])]
    masks, style_masks = (list(one) if isinstance(one, list) else [] for one in found)
    return masks, style_masks


def without_idle(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Option values without what is recorded and has nothing to act on any more."""
    idle = idle_color_options(values)
    if not values.get("print"):
        idle.add("print_fit")
    return {name: v for name, v in values.items() if name not in idle or name in given}


def _damaged(name: str) -> str:
    return f"{name}: is a damaged checkpoint; use a copy of it, or begin the run anew"


def _same_picture(entry: Any, given: Any, role: str, name: str) -> Any:
    """Where to read a picture of a run, once it is certain that it is the same one.

    Args:
        entry: what the checkpoint says of it; `None` for none.
        given: what the caller says instead, or `None`.
        role: the name of the caller's argument.
        name: the checkpoint.
    """
    if entry is None:
        if given is not None:
            raise CheckpointError(f"{name}: the run has no such picture; leave {role} out")
        return None
    path, digest = (
        entry.get(k) if isinstance(entry, Mapping) else None for k in ("path", "sha256")
    )
    if not isinstance(path, str) or not isinstance(digest, str):
        raise CheckpointError(f"{name}: holds no run that this impasto knows; begin the run anew")
    if given is None and not path:
        raise CheckpointError(
            f"{name}: the run was made from a picture in memory, which has to be given again: "
            f"resume({name!r}, {role}=…) in Python"
        )
    source = path if given is None else given
    if isinstance(source, str | os.PathLike) and not is_built_in(source):
        file = split_label(os.fspath(source))[0]
        shown = one_line(file)
        if special(file):
            raise CheckpointError(
                f"{shown}: is a pipe or a device, so that the run in {name} cannot read its "
                "picture again; begin it anew from a file"
            )
        if not os.path.lexists(file):
            raise CheckpointError(
                f"{shown}: is gone, and the run in {name} needs it; put it back and resume again"
            )
    now = describe_source(source)
    if now and digest and now["sha256"] not in ("", digest):
        shown = one_line(os.fspath(source)) if isinstance(source, str | os.PathLike) else role
        raise CheckpointError(
            f"{shown}: has changed since the run in {name} began, and would make another picture; "
            "put the old one back, or begin the run anew"
        )
    return source
