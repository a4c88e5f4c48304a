"""`impasto texture`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli.flags import flags, given
from impasto.cli.running import Output, carry_out, check, check_together, name_beside
from impasto.options import PRESETS, StyleOptions, make_options
from impasto.paper import parse_paper

_PHOTO = (
    *("content_weight", "content_layers", "content_loss", "strength", "regions"),
    "photoreal_weight",
    *("color", "color_strength", "color_method", "color_space"),
)
_DEFAULTS = (("start", "noise"), ("aspect", "1:1"), ("style_loss", "wasserstein2=1,sliced=1"))
_flags = flags(StyleOptions, _PHOTO, _DEFAULTS)
if TYPE_CHECKING:
    Flags = Any
else:
    Flags = _flags
_NO_FLAGS = _flags()
_DEFAULT_OUTPUT = Output()


def texture(
    paintings: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    start_image: str | None = None,
    style_mask: Annotated[
        list[str] | None, Parameter(negative="", allow_leading_hyphen=True)
    ] = None,
    fine_style: str | None = None,
    output: Output = _DEFAULT_OUTPUT,
    options: Flags = _NO_FLAGS,
) -> int:
    """Make a texture in the style of one or several paintings, of any size, with no photo.

    Args:
        paintings: The paintings, or names of built-in styles; several are blended.
        start_image: Start from this picture instead of noise.
        style_mask: A mask of the part of a painting that lends its style; repeat it for each
            painting, with - for none.
        fine_style: A painting that lends all others its fine texture.
    """
    values = given(options)
    check_together(values, start_image)
    defaults = {"content_weight": 0.0, **_defaults(values)}
    chosen = make_options({**defaults, **values})
    names = [None if name == "-" else name for name in style_mask or ()]
    from impasto.sources import split_label

    read = [name for name in (*names, start_image, fine_style) if name is not None]
    check(output, [*paintings, *(split_label(name)[0] for name in read)])
    path = output.output or name_beside(paintings[0], *paintings[1:], ending="-texture")
    from impasto.run import stylization

    if "style_scale" not in values:
        scales = natural_scales(paintings, chosen)
        chosen = make_options({**defaults, **values, "style_scale": scales})
    run = stylization(
        *(None, paintings, chosen), start=start_image, style_masks=names, fine=fine_style
    )
    return carry_out(run, path, output)


def _defaults(values: dict[str, Any]) -> dict[str, Any]:
    """What a texture has by default, where neither a preset nor a sheet of paper says otherwise."""
    preset = values.get("preset")
    chosen = PRESETS[preset].values if preset in PRESETS else {}
    found = dict(_DEFAULTS)
    if "style_loss" in chosen:
        del found["style_loss"]
    if "print" in values:
        paper = parse_paper(values["print"])
        found["aspect"] = f"{paper.long:g}:{paper.short:g}"
    return found


def natural_scales(paintings: list[str], options: StyleOptions) -> tuple[tuple[float], ...]:
    """Scales at which no painting is enlarged: a larger texture has more of its forms, not larger
    ones. Pipes, which can be read only once, count as large enough.

    Raises:
        ImageError: a painting cannot be read.
    """
    from impasto.options import MIN_SCALE
    from impasto.sources import is_built_in, read_source

    scales = []
    for name in paintings:
        scale = 1.0
        if is_built_in(name) or Path(name).is_file():
            bitmap = read_source(name, options.max_pixels, options.size)
            scale = min(1.0, max(bitmap.width, bitmap.height) / options.size)
        scales.append((max(MIN_SCALE, round(scale, 4)),))
    return tuple(scales)
