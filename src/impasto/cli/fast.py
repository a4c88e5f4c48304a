"""`impasto stylize --fast`: pictures repainted by a transfer network, one or a folder of them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from impasto import cli
from impasto.cli import EXIT_INTERRUPTED, say
from impasto.cli.counting import Count
from impasto.cli.running import Output, check_apart, gentle_interrupt, name_beside
from impasto.errors import ImageError, ImpastoError, OptionError, OutputError, one_line
from impasto.options import StyleOptions

if TYPE_CHECKING:
    from impasto.bare import Repainting as Bare
    from impasto.images import Bitmap
    from impasto.transfer import Repainting

NVIDIA = Path("/proc/driver/nvidia/version")
"""Is there while NVIDIA's driver is at work."""

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif")
"""What names of pictures end in."""

_WITHOUT = {
    "trace": "there are no evaluations to trace",
    "snapshots": "the picture does not form step by step",
    "plot": "there are no losses to draw",
    "checkpoint": "there is nothing to resume",
}


def check_fast(output: Output) -> None:
    """Refuses results that a network's single pass does not give.

    Raises:
        OptionError: in the words of the flag.
    """
    for name, why in _WITHOUT.items():
        if getattr(output, name) is not None:
            raise OptionError(f"--{name}: with --fast {why}; leave one of them out")


def paint_one(repainting: Repainting, path: Path, output: Output, *, began: float) -> int:
    """Makes one picture, writes it and reports.

    Args:
        repainting: what to make.
        path: where to write it.
        output: what else is wanted.
        began: when the work began, by `time.monotonic`.
    """
    for warning in repainting.warnings:
        say(f"impasto: warning: {one_line(warning)}")
    picture = repainting.result()
    return _report(picture.bitmap, picture.settings, path, output, began)


def paint_again(
    settings: dict[str, Any], changes: dict[str, Any], path: Path, output: Output, *, began: float
) -> int:
    """Makes a picture of a record once more, by onnxruntime where that made it.

    Args:
        settings: the record.
        changes: options to replace.
        path: where to write it.
        output: what else is wanted.
        began: when the work began, by `time.monotonic`.

    Raises:
        ImpastoError: as `impasto.transfer.from_fast_settings` does.
    """
    from impasto.transfer import from_fast_settings, recorded_options

    options = recorded_options(settings, changes)
    by_onnx = settings["fast"].get("runtime") == "onnx"
    made = _made_by_onnx(settings, options) if by_onnx else None
    if made is not None:
        for warning in made.warnings:
            say(f"impasto: warning: {one_line(warning)}")
        return _report(made.bitmap, made.settings, path, output, began)
    again = from_fast_settings(settings, changes)
    if by_onnx:
        again.warnings.append("the picture was made by onnxruntime; small differences may follow")
    return paint_one(again, path, output, began=began)


def _made_by_onnx(settings: dict[str, Any], options: StyleOptions) -> Bare | None:
    """The picture of a record, made by onnxruntime; `None`: torch is to make it.

    Raises:
        OptionError: only onnxruntime can run the network, and it cannot make this picture.
    """
    from impasto.bare import NeedsTorchError, repaint
    from impasto.network_files import is_portable
    from impasto.runtime import can_run, open_network
    from impasto.trained import network_path
    from impasto.transfer import check_record

    name, styles = str(settings["fast"].get("name")), settings["styles"]
    if is_portable(name):
        _check_onnxruntime(name)
    elif not can_run(network_path(name)):
        return None
    known = bool(open_network(network_path(name), options.threads).names)
    warnings = check_record(settings, known=known)
    try:
        found = repaint(
            *(settings["content"]["path"], [entry["path"] for entry in styles], options),
            network=name,
        )
    except NeedsTorchError as error:
        if not is_portable(name):
            return None
        raise _beyond_exported(error.what, name, "leave the change out, or stylize with") from None
    if found.settings["fast"]["sha256"] != settings["fast"].get("sha256"):
        warnings.append(f"the network {name} is another than the picture's")
    found.warnings.extend(warnings)
    return found


def _paint_bare(
    content: str,
    styles: Sequence[str],
    options: StyleOptions,
    path: Path,
    output: Output,
    *,
    network: str | None,
    asked: bool = True,
    began: float,
) -> int:
    """Makes one picture without torch, writes it and reports."""
    from impasto.bare import repaint

    found = repaint(content, styles, options, network=network, asked=asked)
    for warning in found.warnings:
        say(f"impasto: warning: {one_line(warning)}")
    return _report(found.bitmap, found.settings, path, output, began)


def _report(
    bitmap: Bitmap, settings: dict[str, Any], path: Path, output: Output, began: float
) -> int:
    """Writes a picture and tells of it."""
    _save(bitmap, settings, path, output)
    seconds = time.monotonic() - began
    width, height = bitmap.width, bitmap.height
    if output.json:
        summary = {
            "output": str(path),
            "width": width,
            "height": height,
            "seconds": round(seconds, 3),
            "settings": settings,
        }
        print(json.dumps(summary))
    elif not output.quiet:
        print(f"{path} ({width} x {height} px, {seconds:.1f} s)")
    return 0


def _check_onnxruntime(network: str) -> None:
    """Refuses an exported network where nothing can run it.

    Raises:
        OptionError: onnxruntime is not installed.
    """
    if find_spec("onnxruntime") is None:
        raise OptionError(
            f"{network}: is an exported network, which only onnxruntime runs; install that with "
            "pip install 'impasto[onnx]', or name the network that it was exported from"
        )


def _beyond_exported(what: str, network: str, remedy: str) -> OptionError:
    """What is said of wishes that an exported network cannot fulfil."""
    return OptionError(
        f"{what}: is beyond {network}, which only onnxruntime runs; {remedy} the network that it "
        "was exported from"
    )


def _can_run(styles: Sequence[str], network: str | None) -> bool:
    """Whether onnxruntime is there, and what it takes to give it the network."""
    if find_spec("onnxruntime") is None:
        return False
    from impasto.bare import network_for
    from impasto.runtime import can_run
    from impasto.trained import network_path

    return can_run(network_path(network_for(styles) if network is None else network))


def _has_gpu(options: StyleOptions) -> bool:
    """Whether torch may take a GPU, as far as can be seen without it: NVIDIA's driver is there."""
    return options.device == "auto" and NVIDIA.exists()


def _beyond_onnx(
    content: str, options: StyleOptions, masks: Sequence[str | None], *, asked: bool
) -> str | None:
    """What is asked for that only torch can do, in the words of the option; `None`: nothing."""
    from impasto.bare import needs_torch

    if Path(content).is_dir():
        return f"{content}, a folder"
    if masks:
        return "--mask"
    # How large the result is shows the photo.
    return needs_torch(options, asked=asked)


def fast(
    content: str,
    styles: Sequence[str],
    options: StyleOptions,
    output: Output,
    *,
    network: str | None,
    runtime: str = "auto",
    masks: Sequence[str] = (),
    style_masks: Sequence[str | None] = (),
) -> int:
    """Repaints a photo, or every photo of a folder, in one pass; see `impasto stylize`."""
    from impasto.images import check_output
    from impasto.network_files import is_portable
    from impasto.sources import split_label

    if not all((content, *styles)):
        raise ImageError("the name of a picture is empty; name a file")
    began = cli.started if cli.started is not None else time.monotonic()
    exported = network if network is not None and is_portable(network) else None
    asked = runtime == "onnx" or exported is not None
    beyond = _beyond_onnx(content, options, [*masks, *style_masks], asked=asked)
    if exported is not None:
        _check_onnxruntime(exported)
        if runtime == "torch":
            beyond = "--runtime torch"
        if beyond is not None:
            raise _beyond_exported(beyond, exported, "leave it out, or name")
    if asked and beyond is not None:
        raise OptionError(f"{beyond}: is beyond --runtime onnx; use --runtime torch")
    if Path(content).is_dir():
        return _folder(
            *(Path(content), styles, options, output),
            network=network,
            masks=masks,
            style_masks=style_masks,
        )
    path = output.output or name_beside(content, *styles)
    check_output(path, bits=cast("Any", output.bits), overwrite=output.overwrite)
    read = [*masks, *(mask for mask in style_masks if mask is not None)]
    check_apart({"--output": path}, [content, *styles, *(split_label(name)[0] for name in read)])
    if asked or (
        runtime == "auto" and beyond is None and not _has_gpu(options) and _can_run(styles, network)
    ):
        from impasto.bare import NeedsTorchError

        try:
            return _paint_bare(
                *(content, styles, options, path, output),
                network=network,
                asked=asked,
                began=began,
            )
        except NeedsTorchError as error:
            if exported is not None:
                raise _beyond_exported(error.what, exported, "ask for less, or name") from None
            if asked:
                raise
    from impasto.transfer import Repainting

    repainting = Repainting(
        *(content, styles, options),
        network=network,
        masks=masks,
        style_masks=style_masks,
    )
    return paint_one(repainting, path, output, began=began)


def _folder(
    folder: Path, styles: Sequence[str], options: StyleOptions, output: Output, **given: Any
) -> int:
    """Repaints all pictures of a folder; what a run has done stays done."""
    from impasto.images import check_output, make_folder
    from impasto.sources import split_label
    from impasto.transfer import Repainting, Repaintings

    place = output.output
    if place is None:
        place = name_beside(f"{folder.absolute()}", *styles).with_suffix("")
        raise OptionError(f"{folder}: is a folder; name one for the results, such as -o {place}")
    if place.exists() and not place.is_dir():
        raise OutputError(f"{place}: is no folder; choose another one for the results")
    if not place.exists() and place.suffix.lower() in PICTURES:
        raise OptionError(
            f"--output {place}: is a picture's name, and {folder} is a folder; name a folder for "
            f"the results, such as {place.with_suffix('')}"
        )
    if place.exists() and place.samefile(folder):
        raise OptionError(f"--output {place}: is the folder of the photos; choose another one")
    photos = _pictures_of(folder)
    if not photos:
        raise OptionError(f"{folder}: holds no pictures; choose another folder")
    networks = Repaintings()
    done, again, faults = 0, 0, []
    results: list[dict[str, Any]] = []
    told: set[str] = set()
    stopped = full = False

    def stop() -> None:
        nonlocal stopped
        stopped = True

    with gentle_interrupt(stop) as write_undisturbed:
        # A network, style or option that is amiss is so for every photo: said once, before all.
        first = Repainting(str(photos[0]), styles, options, networks=networks, **given)
        given["network"], loaded = first.network, first.loaded_styles()
        make_folder(place)
        named = _named(photos, place, output)
        masks = [*given["masks"], *(mask for mask in given["style_masks"] if mask is not None)]
        _check_unread(
            [path for _, path in named],
            [*styles, *(split_label(mask)[0] for mask in masks), *map(str, photos)],
        )
        with Count("repainting", len(photos), quiet=output.quiet or output.json) as bar:
            for number, (photo, path) in enumerate(named, start=1):
                if stopped:
                    break
                try:
                    one = Repainting(str(photo), loaded, options, networks=networks, **given)
                    for warning in one.warnings:
                        if warning not in told:
                            told.add(warning)
                            say(f"impasto: warning: {one_line(warning)}")
                    if not output.overwrite and _is_done(path, one.settings, output.bits or 8):
                        again += 1
                    else:
                        check_output(
                            path, bits=cast("Any", output.bits), overwrite=output.overwrite
                        )
                        picture = one.result()
                        _save(picture.bitmap, picture.settings, path, output)
                        done += 1
                    results.append({"photo": str(photo), "output": str(path)})
                except ImpastoError as error:
                    faults.append(str(error))
                    results.append({"photo": str(photo), "fault": str(error)})
                    if getattr(error.__cause__, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                        # No other result would find room.
                        full = True
                        faults[-1] += f" ({done + again} of {len(photos)} photos are done)"
                        break
                bar.show(number, one_line(photo.name)[-40:])
        write_undisturbed()
    for fault in faults:
        say(f"impasto: {one_line(fault)}")
    if output.json:
        print(
            json.dumps(
                {"output": str(place), "done": done, "done_before": again, "pictures": results}
            )
        )
    elif not output.quiet:
        words = [f"{place}: {done} repainted"]
        words += [f"{again} done before"] if again else []
        words += [f"{len(faults)} with faults"] if faults else []
        words += ["stopped early, the same command goes on"] if stopped or full else []
        print(", ".join(words))
    if stopped:
        return EXIT_INTERRUPTED
    return 1 if faults else 0


def _pictures_of(folder: Path) -> list[Path]:
    """The files of a folder that are pictures, or are called so, by name."""
    from impasto.images import SNIFF_BYTES, is_picture, output_error

    found = []
    try:
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.is_dir():
                continue
            # Called so, it counts even where it cannot be read, as a link to nowhere: to be named.
            counts = path.suffix.lower() in PICTURES
            if not counts and path.is_file():
                with contextlib.suppress(OSError), path.open("rb") as file:
                    counts = is_picture(file.read(SNIFF_BYTES))
            if counts:
                found.append(path)
    except OSError as error:
        raise output_error(str(folder), error) from None
    return found


def _named(photos: Sequence[Path], place: Path, output: Output) -> list[tuple[Path, Path]]:
    """Photos with the files of their results: their own names, in a format that can be written."""
    from impasto.images import check_output, folded_name

    found, taken = [], set[str]()
    for photo in photos:
        path = place / photo.name
        try:
            check_output(path, bits=cast("Any", output.bits), overwrite=True)
        except OptionError:
            path = path.with_suffix(".png")
        except OutputError:
            pass  # told when it is written
        if folded_name(path.name) in taken:
            path = place / f"{photo.name}.png"
        taken.add(folded_name(path.name))
        found.append((photo, path))
    return found


def _check_unread(places: Sequence[Path], inputs: Sequence[str]) -> None:
    """Refuses results of a folder that would take the place of a picture that is read.

    Raises:
        OptionError: in the words of the flag.
    """
    read = {os.path.realpath(name) for name in inputs}
    for place in places:
        if os.path.realpath(place) in read:
            raise OptionError(
                f"--output {place}: is a picture that this run reads; choose another folder"
            )


def _is_done(path: Path, settings: dict[str, Any], bits: int) -> bool:
    """Whether a file is there already that was made with these settings, of so many bits."""
    from impasto.images import read_image

    if not path.is_file():
        return False
    try:
        found = read_image(path)
        return found.bits == bits and found.settings == json.loads(json.dumps(settings))
    except ImpastoError:
        return False


def _save(bitmap: Bitmap, settings: dict[str, Any], path: Path, output: Output) -> None:
    from impasto.images import write_image

    write_image(
        *(bitmap, path),
        bits=cast("Any", output.bits or 8),
        quality=output.quality,
        overwrite=output.overwrite,
        settings=settings,
    )
