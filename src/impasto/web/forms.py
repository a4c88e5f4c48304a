"""What a job may ask for: every option but those that are the host's to choose, within the host's
limits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from impasto.bare import check_heeded
from impasto.errors import OptionError
from impasto.options import OPTION_GROUPS, PRESETS, StyleOptions, make_options
from impasto.pairing import resolve
from impasto.paper import named_papers
from impasto.web.config import ANY_STYLE, BUILT_IN_STYLES, HOST_OPTIONS, StudioOptions
from impasto.web.schema import (
    MAX_MASKS,
    JobRequest,
    OptionGroup,
    OptionsOut,
    PaperOut,
    PresetOut,
)

TEXTURE_OPTIONS = frozenset({"aspect", "tileable"})
"""Options of textures, which have no photo."""

LEFT_OUT = HOST_OPTIONS | TEXTURE_OPTIONS

MAX_LEVELS = 20
"""Most levels of a run; from 16 px, twice as large each time, twelve reach the largest side."""

MAX_SCALES = 8
"""Most scales of one painting: each costs as much memory as another painting."""

MAX_REGIONS = MAX_MASKS + 1
"""A region for each mask, and one for the rest."""

PICTURE_OPTIONS = frozenset({"style_weights", "regions"})
"""Options that belong to the paintings and masks of one job."""

STILL_OPTIONS = frozenset(
    {"start", "print", "print_fit", "dpi", "regions", "preview", "time_limit", "levels"}
)
"""Options of a single picture, which a clip has not."""

MAX_PRESET = 4096
"""Most characters of the options of a visitor's own preset: the studio's page gets all of them."""

MAX_REQUEST = 16_384
"""Most characters of a request that is kept: it goes into every list and event."""


@cache
def options_form(max_size: int, max_evaluations: int) -> OptionsOut:
    """Every option that a job takes, for forms and programs.

    Args:
        max_size: largest long side that may be asked for, px.
        max_evaluations: most evaluations that may be.
    """
    schema = StyleOptions.model_json_schema()
    properties = schema["properties"]
    for name in LEFT_OUT:
        del properties[name]
    properties["size"]["maximum"] = max_size
    properties["evaluations"]["maximum"] = max_evaluations
    defaults = StyleOptions().model_dump(mode="json")
    return OptionsOut(
        schema=schema,
        groups=[
            OptionGroup(name=name, fields=[field for field in fields if field not in LEFT_OUT])
            for name, fields in OPTION_GROUPS.items()
        ],
        presets={
            name: PresetOut(
                title=preset.title,
                description=preset.citation,
                options={
                    field: value
                    for field, value in make_options({"preset": name})
                    .model_dump(mode="json")
                    .items()
                    if field in preset.values or field == "preset"
                },
            )
            for name, preset in PRESETS.items()
        },
        papers=[
            PaperOut(name=name, width_mm=paper.short, height_mm=paper.long)
            for name, paper in named_papers().items()
        ],
        defaults={name: value for name, value in defaults.items() if name not in LEFT_OUT},
    )


def check_request(request: JobRequest, limits: StudioOptions) -> dict[str, Any]:
    """What the records keep of a request, its options complete and within the host's limits.

    Args:
        request: as it was sent.
        limits: the studio's settings.

    Raises:
        OptionError: an option is not allowed, or does not fit the others.
    """
    values = dict(request.options)
    if request.shares is not None:
        if "style_weights" in values:
            raise OptionError(
                "--style-weights: stands in shares already; leave one out",
                "excludes",
                other="shares",
            )
        values["style_weights"] = tuple(request.shares)
    if request.start is not None:
        values.setdefault("start", "image")
    options = _checked(values, limits)
    resolve(options, len(request.styles), len(request.masks))
    if request.video is not None:
        _check_video(request, options, limits)
    if (options.start == "image") != (request.start is not None):
        raise OptionError(
            "--start: 'image' goes with a picture to start from; give both", "needs_picture"
        )
    if request.refine and "start" in values:
        raise OptionError(
            "--start: a job that begins with its preview has no other start; leave one out",
            "excludes",
            other="refine",
        )
    if len(request.style_masks) > len(request.styles):
        raise OptionError(
            "--style-masks: there are more of them than paintings; leave some out", "counts"
        )
    given = _given(options, values)
    kept = request.model_dump(mode="json", exclude={"label", "title", "shares"})
    if not request.refine:
        del kept["refine"]
    if request.video is None:
        del kept["video"]
    kept["options"] = given
    if len(json.dumps(kept)) > MAX_REQUEST:
        raise OptionError("the request is too long; shorten its options")
    return kept


def _check_video(request: JobRequest, options: StyleOptions, limits: StudioOptions) -> None:
    """Refuses what a clip cannot have.

    Raises:
        OptionError: so it is.
    """
    pictures = "masks", "style_masks", "fine", "start", "coarse", "refine"
    given = [name for name in pictures if getattr(request, name)]
    for name in [*given, *sorted(STILL_OPTIONS & request.options.keys())]:
        raise OptionError(f"--{name.replace('_', '-')}: is not for clips; leave it out")
    if request.video is not None and request.video.engine == "network":
        names = BUILT_IN_STYLES, ANY_STYLE
        if not any((limits.network_folder / name).is_file() for name in names):
            raise OptionError(
                "--engine: this studio has no transfer network; choose the optimizer, which takes "
                "minutes for each frame"
            )
        check_heeded(options)


def check_preset(values: Mapping[str, Any], limits: StudioOptions) -> dict[str, Any]:
    """What the records keep of the options of a visitor's own preset, checked as a job's are.

    Args:
        values: as they were sent; whether they fit paintings and masks only a job can tell.
        limits: the studio's settings.

    Raises:
        OptionError: an option is not allowed, belongs to a job's own pictures, or does not fit the
            others.
    """
    for name in sorted(PICTURE_OPTIONS & values.keys()):
        shown = name.replace("_", "-")
        raise OptionError(f"--{shown}: belongs to a job's own pictures; leave it out", "pictures")
    kept = _given(_checked(values, limits), values)
    if len(json.dumps(kept)) > MAX_PRESET:
        raise OptionError("the preset is too long; shorten its options")
    return kept


def _checked(values: Mapping[str, Any], limits: StudioOptions) -> StyleOptions:
    _check_names(values)
    options = make_options(values)
    _check_limits(options, limits)
    return options


def _given(options: StyleOptions, values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given; all others follow from the preset, also in a later version."""
    return {name: _plain(options, name) for name in values}


def _plain(options: StyleOptions, name: str) -> Any:
    return options.model_dump(mode="json", include={name})[name]


def _check_names(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        shown = name[:40].replace("_", "-")
        if name not in StyleOptions.model_fields:
            raise OptionError(
                f"--{shown}: there is no such option; GET /api/options lists all", "unknown"
            )
        if name in HOST_OPTIONS:
            raise OptionError(f"--{shown}: is the studio's to choose; leave it out", "hosts")
        if name in TEXTURE_OPTIONS and value != StyleOptions.model_fields[name].default:
            raise OptionError(
                f"--{shown}: is for textures, which have no photo; leave it out", "textures"
            )
        # JSON has true apart from 1.
        if isinstance(value, bool) and not isinstance(
            StyleOptions.model_fields[name].default, bool
        ):
            raise OptionError(f"--{shown}: is neither on nor off; give a value", "no_number")
        # JSON numbers may be too large for a float, and texts too long to show.
        if isinstance(value, float) and not math.isfinite(value):
            raise OptionError(f"--{shown}: must be a finite number", "no_number")
        # JSON texts may hold halves of characters, which no file and no answer can.
        if any(map(_is_broken, _texts(value))):
            raise OptionError(f"--{shown}: holds half of a character; correct it", "no_text")
        if isinstance(value, str) and len(value) > 2000:
            raise OptionError(f"--{shown}: is too long; shorten it", "too_long")


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value of JSON, however deep they lie."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            left += one


def _is_broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _check_limits(options: StyleOptions, limits: StudioOptions) -> None:
    if options.size > limits.max_size:
        name = "print" if options.print is not None else "levels" if options.levels else "size"
        raise OptionError(
            f"--{name}: the result would be {options.size} px long, and this studio makes at most "
            f"{limits.max_size}; ask for a smaller one",
            "too_many",
            count=options.size,
            most=limits.max_size,
        )
    # A level may be larger than the last one only by mistake, but it would be painted.
    side = max((side for side, _ in options.levels), default=0)
    if side > limits.max_size:
        raise OptionError(
            f"--levels: {side} px is more than the studio's {limits.max_size}",
            "too_many",
            count=side,
            most=limits.max_size,
        )
    if len(options.levels) > MAX_LEVELS:
        raise OptionError(
            f"--levels: {len(options.levels)} are more than the {MAX_LEVELS} of this studio; leave "
            "some out",
            "too_many",
            count=len(options.levels),
            most=MAX_LEVELS,
        )
    count = max(options.evaluations, sum(number for _, number in options.levels))
    if count > limits.max_evaluations:
        name = "levels" if count > options.evaluations else "evaluations"
        raise OptionError(
            f"--{name}: {count} evaluations are more than the {limits.max_evaluations} of this "
            "studio; ask for fewer",
            "too_many",
            count=count,
            most=limits.max_evaluations,
        )
    if len(options.regions) > MAX_REGIONS:
        raise OptionError(
            f"--regions: {len(options.regions)} are more than the {MAX_REGIONS} of this studio; "
            "leave some out",
            "too_many",
            count=len(options.regions),
            most=MAX_REGIONS,
        )
    paintings = [*options.style_scale]
    for region in options.regions:
        paintings += region.scale or ()
    if max(map(len, paintings)) > MAX_SCALES:
        raise OptionError(
            f"--style-scale: a painting takes at most {MAX_SCALES} scales here; leave some out",
            "too_many",
            count=max(map(len, paintings)),
            most=MAX_SCALES,
        )
    if max(max(scales) for scales in paintings) * options.size > 4 * limits.max_size:
        raise OptionError("--style-scale: the painting would be too large; choose a smaller one")
