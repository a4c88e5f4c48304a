"""`impasto stylize`, `demo` and `reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli import say
from impasto.cli.flags import flags, given
from impasto.cli.running import Output, carry_out, check, free_name
from impasto.errors import ImageError, OptionError, one_line
from impasto.options import StyleOptions, make_options

if TYPE_CHECKING:
    Flags = Changes = Any
else:
    Flags = flags(StyleOptions)
    # Recorded settings name every option, so that a preset beside them would change nothing.
    Changes = flags(StyleOptions, ("preset",))

_DEFAULT_OUTPUT = Output()
_NO_FLAGS, _NO_CHANGES = flags(StyleOptions)(), flags(StyleOptions, ("preset",))()


def stylize(
    content: str,
    styles: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    start_image: str | None = None,
    output: Output = _DEFAULT_OUTPUT,
    options: Flags = _NO_FLAGS,
) -> int:
    """Repaint a photo in the style of one or several paintings.

    Args:
        content: The photo, or sample:NAME for a bundled one.
        styles: The paintings, or style:NAME for a built-in one; several are blended.
        start_image: Start from this third image.
    """
    from impasto.run import is_built_in, stylization

    values = given(options)
    chosen = make_options(values)
    if start_image is not None and values.get("start", "image") != "image":
        raise OptionError(
            f"--start {chosen.start} and --start-image exclude each other; leave one out"
        )
    check(output)
    path = output.output
    if path is None:
        stems = "-".join(Path(name.partition(":")[2] or name).stem for name in (content, *styles))
        folder = Path.cwd() if is_built_in(content) else Path(content).parent
        # File systems count bytes: 255 of them, some of which the number and extension need.
        path = free_name(folder, stems.encode(errors="ignore")[:200].decode(errors="ignore"))
    run = stylization(content, styles, chosen, start=start_image)
    return carry_out(run, path, output)


def demo(*, output: Output = _DEFAULT_OUTPUT, options: Flags = _NO_FLAGS) -> int:
    """Repaint a bundled photo in a built-in style, to see that everything works.

    The picture goes to impasto-demo.png in the current folder unless --output says otherwise.
    """
    from impasto.run import stylization
    from impasto.samples import DEMO_PHOTO
    from impasto.styles import DEMO_STYLE

    chosen = make_options(given(options))
    check(output)
    path = output.output or free_name(Path.cwd(), "impasto-demo")
    run = stylization(f"sample:{DEMO_PHOTO}", f"style:{DEMO_STYLE}", chosen)
    return carry_out(run, path, output)


def reproduce(
    picture: Path, /, *, output: Output = _DEFAULT_OUTPUT, options: Changes = _NO_CHANGES
) -> int:
    """Run again what made a picture, from the settings inside it; flags given here replace them.

    Args:
        picture: A picture that impasto wrote.
    """
    from impasto.images import DEFAULT_MAX_PIXELS, read_image
    from impasto.run import from_settings

    check(output)
    changes = given(options)
    limit = changes.get("max_pixels", DEFAULT_MAX_PIXELS)
    settings = read_image(picture, max_pixels=limit).settings
    if settings is None:
        raise ImageError(
            f"{picture}: carries no settings of impasto; give a picture as impasto wrote it, "
            "not one saved again by another program"
        )
    run, warnings = from_settings(settings, changes)
    for warning in warnings:
        say(f"impasto: {one_line(warning)}")
    path = output.output or free_name(picture.parent, f"{picture.stem}-again")
    return carry_out(run, path, output)
