"""`impasto plan`, and the line that every run says before it begins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli.flags import flags, given
from impasto.cli.running import check_together, duration
from impasto.options import StyleOptions, make_options

if TYPE_CHECKING:
    from impasto.planning import Plan

_flags = flags(StyleOptions)
if TYPE_CHECKING:
    Flags = Any
else:
    Flags = _flags
_NO_FLAGS = _flags()


def plan(
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
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    options: Flags = _NO_FLAGS,
) -> None:
    """Tell what a run would take: levels, tiles, memory and time; takes a moment itself.

    Args:
        content: The photo, or sample:NAME for a bundled one.
        styles: The paintings, or names of built-in styles.
        start_image: Start from this third image.
        mask: A mask of a region of the photo; repeat it for more.
        style_mask: A mask of a painting; repeat it for each painting, with - for none.
        fine_style: A painting that lends all others its fine texture.
        as_json: Write JSON.
    """
    values = given(options)
    check_together(values, start_image)
    chosen = make_options(values)
    from impasto.run import stylization

    found = stylization(
        *(content, styles, chosen),
        start=start_image,
        masks=mask or (),
        style_masks=[None if name == "-" else name for name in style_mask or ()],
        fine=fine_style,
    ).plan()
    if as_json:
        print(json.dumps(plan_record(found), indent=2))
        return
    print(f"{'level':<16} {'evaluations':>11}  {'layers':<8} {'tiles':<22} {'memory':>7}  time")
    for part in found.levels:
        level = part.level
        tiles = "whole"
        if part.tiles > 1:
            tiles = f"{part.tiles} of {part.tile[0]} x {part.tile[1]} px"
        print(
            f"{f'{level.width} x {level.height} px':<16} {level.evaluations:>11}  "
            f"{'shallow' if level.anchored else 'all':<8} {tiles:<22} "
            f"{gigabytes(part.expected_bytes):>7}  {duration(part.seconds)}"
        )
    fits = "of" if found.expected_bytes <= found.budget else "- more than"
    print(
        f"in all: about {duration(found.seconds)} and {gigabytes(found.expected_bytes)} {fits} the "
        f"{gigabytes(found.budget)} that the run may take"
    )


def plan_record(plan: Plan) -> dict[str, Any]:
    """A plan as plain data."""
    return {
        "seconds": round(plan.seconds, 3),
        "expected_bytes": plan.expected_bytes,
        "budget_bytes": plan.budget,
        "levels": [
            {
                "width": part.level.width,
                "height": part.level.height,
                "evaluations": part.level.evaluations,
                "anchored": part.level.anchored,
                "tiles": part.tiles,
                "tile": list(part.tile),
                "history": part.history,
                "expected_bytes": part.expected_bytes,
                "seconds": round(part.seconds, 3),
            }
            for part in plan.levels
        ],
    }


def plan_line(plan: Plan, *, rest: bool = False) -> str:
    """A plan in one line; `rest`: it is that of what is left of a run."""
    sizes = [
        f"{part.level.width} x {part.level.height}"
        + (f" in {part.tiles} tiles" if part.tiles > 1 else "")
        for part in plan.levels
    ]
    return (
        f"plan: {'still to do ' if rest else ''}{', '.join(sizes)} px; "
        f"about {duration(plan.seconds)} and {gigabytes(plan.expected_bytes)}"
    )


def gigabytes(size: float) -> str:
    """Bytes in words."""
    return f"{size / 1e9:.1f} GB"
