"""Which painting belongs to which mask, from options and numbers alone, without the engine."""

from __future__ import annotations

from impasto.errors import OptionError
from impasto.options import RegionOptions, StyleOptions


def resolve(options: StyleOptions, paintings: int, masks: int) -> tuple[RegionOptions, ...]:
    """What to do in each mask and, where there is one more, in the rest of the picture.

    Without `regions` each mask belongs to the painting of its number, or all of them to the only
    one; one painting more than there are masks is for the rest.

    Args:
        options: of the run.
        paintings: how many there are.
        masks: how many there are.

    Returns:
        One for each mask, with the numbers of its paintings, and perhaps one for the rest; one for
        the whole picture where there are no masks.

    Raises:
        OptionError: the numbers of paintings, masks and regions do not fit.
    """
    every = tuple(range(1, paintings + 1))
    if len(options.style_scale) not in (1, paintings):
        raise OptionError(
            f"--style-scale: {len(options.style_scale)} scales for {paintings} paintings; give one "
            "for all or one for each",
            "counts",
        )
    if options.style_weights and paintings and len(options.style_weights) != paintings:
        raise OptionError(
            f"--style-weights: {len(options.style_weights)} shares for {paintings} paintings; give "
            "one for each",
            "counts",
        )
    if not options.regions:
        if masks == 0:
            return (RegionOptions(styles=every),)
        if paintings == 1:
            return (RegionOptions(styles=(1,)),) * masks
        if paintings in (masks, masks + 1):
            return tuple(RegionOptions(styles=(number,)) for number in every)
        raise OptionError(
            f"--mask: {masks} masks for {paintings} paintings; give a mask for each painting, for "
            "all but the last one, or say with --regions which belongs where",
            "counts",
        )
    if masks == 0 or len(options.regions) not in (masks, masks + 1):
        raise OptionError(
            f"--regions: {len(options.regions)} regions for {masks} masks; give a --mask for each, "
            "or for all but the last one, which is then the rest of the picture",
            "counts",
        )
    found = []
    for index, region in enumerate(options.regions, start=1):
        styles = region.styles
        if not region.keep and not styles:
            styles = (index if paintings > 1 else 1,)
        if any(number > paintings for number in styles):
            raise OptionError(
                f"--regions: region {index} names painting {max(styles)}, but there are only "
                f"{paintings}",
                "counts",
            )
        if region.shares and len(region.shares) != len(styles):
            raise OptionError(
                f"--regions: region {index} has {len(region.shares)} shares for {len(styles)} "
                "paintings; give one for each",
                "counts",
            )
        if region.scale is not None and len(region.scale) not in (1, len(styles)):
            raise OptionError(
                f"--regions: region {index} has {len(region.scale)} scales for {len(styles)} "
                "paintings; give one for all or one for each",
                "counts",
            )
        found.append(region.model_copy(update={"styles": styles}))
    unused = set(every) - {number for region in found for number in region.styles}
    if unused:
        raise OptionError(
            f"--regions: painting {min(unused)} is in no region; name it in one, or leave it out",
            "counts",
        )
    return tuple(found)
