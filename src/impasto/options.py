"""Every option of a repainting or of a preparation, once: choices, limits, unit, default, help.

The command line, the JSON schema and the settings inside written pictures derive from these frozen
models. A preset is a named set of values; what is given beside it wins.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from impasto.errors import OptionError, OptionReason
from impasto.paper import parse_paper

MAX_SIDE = 32768
"""Longest side of a result, px."""

DEFAULT_DPI = 300.0
"""Pixels per inch of a print, where none are given."""

DEFAULT_MAX_PIXELS = 200_000_000
"""Most pixels (width × height) that are decoded unless the caller allows more.

Above the largest phone cameras (200 megapixels is 16320 × 12240 = 199.8 million); such a picture
takes 2.4 GB as a `Bitmap`, and a decompression bomb cannot take more than that.
"""

MAX_EVALUATIONS = 1_000_000
"""Most evaluations of a level."""

MAX_WEIGHT = 1e15
"""Largest weight of a term or of a layer in it."""

MIN_SCALE, MAX_SCALE = 0.05, 8.0
"""Smallest and largest `style_scale`."""


class UnfitError(ValueError):
    """A value that an option cannot have; `reason` and `values` are those of `OptionError`."""

    def __init__(self, message: str, reason: OptionReason, **values: str | float) -> None:
        super().__init__(message)
        self.reason: OptionReason = reason
        self.values = values


def parse_layers(value: Any) -> dict[str, float]:
    """Layer weights from `relu1_1=1,relu2_1=0.5`; a layer without a weight counts 1.

    Args:
        value: such a text, a list of layer names or a mapping from name to weight.

    Returns:
        Layer name → weight, in the order given.

    Raises:
        ValueError: a weight is not a number from 0 to `MAX_WEIGHT`, a layer is named twice, or none
            is named.
    """
    if isinstance(value, Mapping):
        pairs = [(str(name), weight) for name, weight in value.items()]
    elif isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        pairs = [(n.strip(), w if eq else 1) for n, eq, w in (p.partition("=") for p in parts)]
    elif isinstance(value, Sequence):
        pairs = [(str(name), 1) for name in value]
    else:
        raise ValueError("layers are written LAYER=WEIGHT,…, such as relu1_1=1,relu2_1=0.5")
    layers: dict[str, float] = {}
    for name, weight in pairs:
        try:
            number = float(weight)
        except (TypeError, ValueError):
            raise UnfitError(
                f"the weight '{weight}' of layer '{name}' is not a number", "no_number"
            ) from None
        except OverflowError:
            number = math.inf
        if not 0 <= number <= MAX_WEIGHT:
            raise UnfitError(
                f"the weight {number:g} of layer '{name}' must be a number from 0 to "
                f"{MAX_WEIGHT:g}",
                "out_of_range",
                least=0,
                most=MAX_WEIGHT,
            )
        if not re.fullmatch(r"(relu[0-9]_[0-9]|block[0-9]_conv[0-9])", name):
            raise UnfitError(
                f"'{name}' is no layer name; write relu4_2 or block4_conv2, with =WEIGHT if wanted",
                "no_layer",
                name=name[:40],
            )
        name = re.sub(r"block(\d)_conv(\d)", r"relu\1_\2", name)
        if name in layers:
            raise UnfitError(f"layer '{name}' is named twice", "twice", name=name)
        layers[name] = number
    if not layers:
        raise ValueError("name at least one layer, such as relu4_2")
    return layers


def format_layers(layers: Mapping[str, float]) -> str:
    """The text that `parse_layers` reads back."""
    # The shortest digits that read back as the same number.
    return ",".join(f"{name}={weight!r}".removesuffix(".0") for name, weight in layers.items())


STYLE_LOSSES = (
    *("gram", "gram+mean-std", "mean-std", "wasserstein2"),
    *("sliced", "histogram", "nearest"),
)
"""Names of the style losses."""

CONTENT_LOSSES = ("features", "self-similarity", "laplacian")
"""Names of the content losses."""


def parse_mix(value: Any, names: Sequence[str]) -> dict[str, float]:
    """Losses with their weights from `wasserstein2=1,gram=0.5`; one without a weight counts 1.

    Args:
        value: such a text, or a mapping from name to weight.
        names: what there is to choose from.

    Returns:
        Name → weight, in the order given.

    Raises:
        ValueError: an unknown name, one that is named twice, a weight out of range, or none above
            0.
    """
    if isinstance(value, Mapping):
        pairs = [(str(name), weight) for name, weight in value.items()]
    elif isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        pairs = [(n.strip(), w if eq else 1) for n, eq, w in (p.partition("=") for p in parts)]
    else:
        raise ValueError("losses are written NAME=WEIGHT,…, such as wasserstein2=1,gram=0.5")
    mix: dict[str, float] = {}
    for name, weight in pairs:
        if name not in names:
            choices = ", ".join(names)
            raise UnfitError(
                f"'{name}' is no loss here; choose from {choices}", "not_one_of", choices=choices
            )
        if name in mix:
            raise UnfitError(f"'{name}' is named twice", "twice", name=name)
        mix[name] = parse_number(weight, 0, MAX_WEIGHT, f"the weight of '{name}'")
    if not any(mix.values()):
        raise ValueError(f"name at least one with a weight above 0, from {', '.join(names)}")
    return mix


def format_mix(mix: Mapping[str, float]) -> str:
    """The text that `parse_mix` reads back."""
    return ",".join(n if w == 1 else f"{n}={w!r}".removesuffix(".0") for n, w in mix.items())


def parse_scales(value: Any) -> tuple[tuple[float, ...], ...]:
    """Scales of paintings from `1`, `0.5,2` (one for each painting) or `0.5+2` (both at once).

    Args:
        value: such a text, a number, or a sequence of numbers or of sequences of numbers.

    Raises:
        ValueError: not of that form, or a scale out of `MIN_SCALE` to `MAX_SCALE`.
    """
    if isinstance(value, str):
        value = [part.split("+") for part in value.split(",")]
    elif isinstance(value, int | float):
        value = [[value]]
    what = "a scale"
    try:
        found = tuple(
            tuple(
                parse_number(scale, MIN_SCALE, MAX_SCALE, what)
                for scale in ([one] if isinstance(one, int | float) else one)
            )
            for one in value
        )
    except TypeError:
        raise UnfitError(
            "scales are written 0.5, 0.5,2 or 0.5+2", "form", example="0.5+2"
        ) from None
    if not found or not all(found):
        raise ValueError("name at least one scale, such as 0.5")
    return found


def format_scales(scales: Sequence[Sequence[float]]) -> str:
    """The text that `parse_scales` reads back."""
    return ",".join("+".join(f"{s!r}".removesuffix(".0") for s in one) for one in scales)


def parse_number(value: Any, least: float, most: float, what: str) -> float:
    """A number in a range, of what is named so in a fault.

    Raises:
        UnfitError: it is none, or out of the range.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UnfitError(f"{what} must be a number, not '{str(value)[:40]}'", "no_number") from None
    except OverflowError:
        number = math.inf
    if not least <= number <= most:
        raise UnfitError(
            f"{what} must lie in {least:g} to {most:g}, not {number:g}",
            "out_of_range",
            least=least,
            most=most,
        )
    return number


def parse_levels(value: Any) -> tuple[tuple[int, int], ...]:
    """Levels from `128:20,256:40,512:80`: long side in px, then evaluations; `auto` is empty.

    Args:
        value: such a text, or a sequence of (side, evaluations) pairs.

    Raises:
        ValueError: not of that form, not rising, or out of range.
    """
    if isinstance(value, str) and value.strip() in ("", "auto"):
        return ()
    try:
        pairs = [p.split(":") for p in value.split(",")] if isinstance(value, str) else value
        levels = tuple((int(side), int(count)) for side, count in pairs)
    except (TypeError, ValueError, OverflowError):
        raise UnfitError(
            "levels are written SIDE:EVALUATIONS from coarse to fine, such as 256:60,512:40",
            "form",
            example="256:60,512:40",
        ) from None
    sides = [side for side, _ in levels]
    if any(a >= b for a, b in pairwise(sides)):
        raise ValueError("the levels' sides must rise from coarse to fine")
    if not all(1 <= side <= MAX_SIDE and 0 <= count <= MAX_EVALUATIONS for side, count in levels):
        raise ValueError(
            f"a level's side lies in 1 to {MAX_SIDE}, its evaluations in 0 to {MAX_EVALUATIONS}"
        )
    return levels


def _join_levels(levels: tuple[tuple[int, int], ...]) -> str:
    return ",".join(f"{side}:{count}" for side, count in levels) or "auto"


Layers = Annotated[
    dict[str, float],
    BeforeValidator(parse_layers),
    PlainSerializer(format_layers, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["relu1_1=1,relu2_1=0.5"]}),
]
Levels = Annotated[
    tuple[tuple[int, int], ...],
    BeforeValidator(parse_levels),
    PlainSerializer(_join_levels, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["auto", "256:60,512:40"]}),
]
StyleLosses = Annotated[
    dict[str, float],
    BeforeValidator(lambda value: parse_mix(value, STYLE_LOSSES)),
    PlainSerializer(format_mix, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["wasserstein2", "wasserstein2=1,gram=0.5"]}),
]
ContentLosses = Annotated[
    dict[str, float],
    BeforeValidator(lambda value: parse_mix(value, CONTENT_LOSSES)),
    PlainSerializer(format_mix, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["features", "features=1,laplacian=0.5"]}),
]
Scales = Annotated[
    tuple[tuple[float, ...], ...],
    BeforeValidator(parse_scales),
    PlainSerializer(format_scales, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["1", "0.5,2", "0.5+2"]}),
]
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def parse_memory(value: Any) -> int:
    """Bytes from `4GB`, `800 MB`, `1.5GiB` or a plain number of bytes.

    Raises:
        ValueError: not of that form, or less than 1 MB.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("memory is written with its unit, such as 4GB")
    match = re.fullmatch(r"\s*(\d{1,30}(?:\.\d{0,30})?)\s*([kmgt]?)(i?)b?\s*", str(value).lower())
    if not match or (match[3] and not match[2]):
        shown = str(value)[:40]
        raise ValueError(f"'{shown}' is no amount of memory; write it with its unit, such as 4GB")
    unit = _UNITS[match[2]]
    if match[3]:
        unit = 2 ** (10 * list(_UNITS).index(match[2]))
    amount = int(float(match[1]) * unit)
    if not 10**6 <= amount <= 10**15:
        raise ValueError(f"'{value}' must lie in 1 MB to 1000 TB; write it like 4GB")
    return amount


Memory = Annotated[
    int,
    BeforeValidator(parse_memory),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}], "examples": ["4GB"]}),
]


def _paper_name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a paper size is written as a3 or 300x200mm")
    try:
        parse_paper(value)
    except ValueError as error:
        raise UnfitError(str(error), "form", example="a3, 300x200mm") from None
    return value.strip().lower()


def parse_aspect(value: Any) -> tuple[float, float]:
    """Width and height from `16:9`.

    Raises:
        ValueError: not of that form, or one is more than a hundred times the other.
    """
    parts = value.split(":") if isinstance(value, str) else ()
    if len(parts) != 2:
        raise ValueError("a shape is written WIDTH:HEIGHT, such as 16:9")
    width, height = (parse_number(part, 1e-3, 1e6, "a side") for part in parts)
    if not 0.01 <= width / height <= 100:
        raise ValueError("one side may be at most a hundred times the other")
    return width, height


def _aspect(value: Any) -> str:
    parse_aspect(value)
    return value


Aspect = Annotated[
    str, BeforeValidator(_aspect), WithJsonSchema({"type": "string", "examples": ["1:1", "16:9"]})
]
PaperName = Annotated[
    str,
    BeforeValidator(_paper_name),
    WithJsonSchema({"type": "string", "examples": ["a3", "300x200mm"]}),
]
Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]


def parse_sides(value: Any) -> tuple[int, ...]:
    """Long sides in px from `512,1024`, a number or a sequence of numbers, in rising order.

    Raises:
        ValueError: not of that form, named twice or out of range.
    """
    given = value.split(",") if isinstance(value, str) else value
    try:
        sides = sorted(int(side) for side in (given if isinstance(given, Sequence) else [given]))
    except (TypeError, ValueError, OverflowError):
        raise ValueError("sizes are written with commas, such as 512,1024") from None
    if not sides or not all(1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(f"sizes lie in 1 to {MAX_SIDE} px")
    if len(set(sides)) < len(sides):
        raise ValueError("a size is named twice; name each once")
    return tuple(sides)


Sides = Annotated[
    tuple[int, ...],
    BeforeValidator(parse_sides),
    PlainSerializer(lambda sides: ",".join(map(str, sides)), return_type=str),
    WithJsonSchema({"type": "string", "examples": ["1024", "512,1024"]}),
]


class RegionOptions(BaseModel):
    """What to do in one region; what is not given is as in the whole picture.

    Attributes:
        keep: leave the photo as it is.
        styles: numbers of the paintings, from 1; none: the one with the region's own number.
        shares: share of each in the blend; equal when not given.
        strength: as `StyleOptions.strength`.
        scale: as `StyleOptions.style_scale`, for the paintings of this region.
        color: as `StyleOptions.color`.
        color_strength: as `StyleOptions.color_strength`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep: bool = False
    styles: tuple[Annotated[int, Field(ge=1)], ...] = ()
    shares: tuple[Weight, ...] = ()
    strength: float | None = Field(default=None, ge=0, le=1)
    scale: Scales | None = None
    color: Literal["painting", "luminance", "match", "only"] | None = None
    color_strength: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _check_together(self) -> RegionOptions:
        others = {name: value for name, value in self if name != "keep" and value not in (None, ())}
        if self.keep and others:
            raise ValueError(f"keep and {next(iter(others))} exclude each other; leave one out")
        if self.shares and not sum(self.shares) > 0:
            raise ValueError("at least one share must be above 0")
        if self.shares and self.styles and len(self.shares) != len(self.styles):
            raise ValueError(f"{len(self.shares)} shares for {len(self.styles)} paintings")
        return self


def parse_regions(value: Any) -> tuple[Any, ...]:
    """Regions from `1; 2+3,shares=2+1,strength=0.5,scale=2; keep`.

    Args:
        value: such a text, or a sequence of such texts for one region each, of mappings or of
            `RegionOptions`.

    Returns:
        Mappings, or `RegionOptions`, one for each region.

    Raises:
        ValueError: not of that form.
    """
    if isinstance(value, str):
        # One semicolon at the end is a slip of the pen.
        value = value.strip().removesuffix(";").split(";") if value.strip() else []
    if not isinstance(value, Sequence):
        raise UnfitError(
            "regions are written 1; 2,strength=0.5; keep", "form", example="1; 2,strength=0.5; keep"
        )
    for number, one in enumerate(value, start=1):
        if isinstance(one, str) and not one.strip():
            raise ValueError(f"region {number} is empty; write its paintings' numbers, or keep")
    return tuple(_parse_region(one) if isinstance(one, str) else one for one in value)


def _parse_region(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, given, value = (piece.strip() for piece in part.partition("="))
        if not given:
            name, value = ("keep", "true") if name == "keep" else ("styles", name)
        name = name.replace("-", "_")
        if name not in RegionOptions.model_fields:
            known = ", ".join(sorted(RegionOptions.model_fields)).replace("_", "-")
            raise ValueError(f"'{name}' is nothing a region can have; it can have {known}")
        if name in found:
            raise ValueError(f"'{name}' stands twice in '{text.strip()}'")
        found[name] = value.split("+") if name in ("styles", "shares") else value
    return found


Regions = Annotated[
    tuple[RegionOptions, ...],
    BeforeValidator(parse_regions),
]


class Preset(BaseModel):
    """A named set of option values with its source."""

    model_config = ConfigDict(frozen=True)

    title: str
    citation: str
    values: dict[str, Any]


_STYLE = "relu1_1=0.2,relu2_1=0.2,relu3_1=0.2,relu4_1=0.2,relu5_1=0.2"
_GATYS: dict[str, Any] = {
    "model": "vgg19",
    "pooling": "average",
    "padding": "zero",
    "content_layers": "relu4_2",
    "style_layers": _STYLE,
    "style_loss": "gram",
    "normalize": False,
    "content_weight": 1.0,
    "style_weight": 1e-4,
    "tv_weight": 0.0,
    "start": "content",
    "levels": "",
    "single_level": True,
    "evaluations": 300,
}

PRESETS: dict[str, Preset] = {
    "impasto": Preset(
        title="The default: chosen by eye",
        citation="This project; docs/defaults.md says what was compared.",
        values={},
    ),
    "gatys": Preset(
        title="Image style transfer, as published",
        citation="Gatys, Ecker & Bethge, Image Style Transfer Using Convolutional Neural Networks, "
        "CVPR 2016",
        values=_GATYS,
    ),
    "gatys-vgg16": Preset(
        title="The same objective on VGG16",
        citation="Gatys, Ecker & Bethge 2016, with VGG16 (Simonyan & Zisserman 2015, column D)",
        values={**_GATYS, "model": "vgg16"},
    ),
    "keras": Preset(
        title="The layers of the Keras and TensorFlow tutorials",
        citation="keras.io, Neural style transfer (F. Chollet); tensorflow.org, Neural style "
        "transfer",
        values={
            **_GATYS,
            "pooling": "max",
            "style_weight": 1e-6,
            "content_layers": "block5_conv2",
            "style_layers": "block1_conv1=0.2,block2_conv1=0.2,block3_conv1=0.2,"
            "block4_conv1=0.2,block5_conv1=0.2",
        },
    ),
    "photo-real": Preset(
        title="Colours and light of one photo on another",
        citation="Luan, Paris, Shechtman & Bala, Deep Photo Style Transfer, CVPR 2017; values "
        "chosen by eye",
        values={"photoreal_weight": 100.0, "content_weight": 2.0, "tv_weight": 0.0},
    ),
}
"""Presets by name. `J = α·Σ w·mean((F−P)²) + β·Σ w·mean((G−A)²)` where `normalize` is off."""


class Options(BaseModel):
    """What all options have in common. Frozen; unknown names and values out of range are refused.

    Attributes:
        command: whose options they are.

    Raises:
        OptionError: in one line, in the words of the options.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: ClassVar[str] = "stylize"

    if not TYPE_CHECKING:  # type checkers make a better signature of the fields

        def __init__(self, /, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise option_error(error, self.command) from None


class StyleOptions(Options):
    """How to repaint a photo. Frozen; unknown names and values out of range are refused.

    Values given explicitly win over those of `preset`, which win over the defaults.

    Raises:
        OptionError: in one line, in the words of the options.
    """

    preset: Literal["impasto", "gatys", "gatys-vgg16", "keras", "photo-real"] = Field(
        default="impasto", description="Named set of values to start from."
    )
    size: int = Field(default=512, ge=1, le=MAX_SIDE, description="Long side of the result, px.")
    print: PaperName | None = Field(
        default=None,
        description="Size for a sheet of paper instead: a0 to a6, letter, legal, tabloid or "
        "WIDTHxHEIGHTmm.",
    )
    print_fit: Literal["inside", "fill"] = Field(
        default="inside",
        description="With --print: the whole picture inside the sheet, or cut to fill it.",
    )
    dpi: float | None = Field(
        default=None,
        ge=1,
        le=10_000,
        allow_inf_nan=False,
        description="Pixels per inch, written into the file; with --print 300 by default.",
    )
    max_pixels: int = Field(
        default=DEFAULT_MAX_PIXELS, ge=1, description="Largest picture file to read, in pixels."
    )
    aspect: Aspect | None = Field(
        default=None,
        description="Shape of a texture, width to height, such as 16:9; by default the painting's.",
    )
    tileable: bool = Field(
        default=False,
        description="Make a texture whose edges fit together, with sides that are multiples of 16.",
    )
    style_weights: tuple[Weight, ...] = Field(
        default=(), description="Share of each painting in a blend; equal when not given."
    )
    style_scale: Scales = Field(
        default=((1.0,),),
        description="Size of brush strokes: the painting's long side in units of the result's; one "
        "for all paintings or, with commas, for each; several of one painting at once as 0.5+2.",
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="How far to go from the photo, 0, to the painting, 1.",
    )
    regions: Regions = Field(
        default=(),
        description="What to do in each --mask, in their order: the paintings' numbers, such as 1 "
        "or 1+2, and what is to be different there, such as 2,strength=0.5,scale=2, or keep; "
        "separated by semicolons. One more than there are masks is for the rest of the picture.",
    )
    content_weight: Weight = Field(default=1.0, description="Weight α of the content term.")
    style_weight: Weight = Field(default=8.0, description="Weight β of the style term.")
    tv_weight: Weight = Field(default=1.0, description="Weight of the smoothness term.")
    tv: Literal["l1", "squared"] = Field(
        default="l1", description="Smoothness: absolute or nine-point squared differences."
    )
    photoreal_weight: Weight = Field(
        default=0.0,
        description="How strongly the picture is held to the photo's own edges and textures, which "
        "keeps it a photograph; 0: not at all.",
    )
    model: str = Field(
        default="vgg19",
        pattern=r"^(vgg16|vgg19)(:[A-Za-z0-9._-]+)?$",
        description="Network: vgg19 or vgg16, with :VARIANT for other weights.",
    )
    content_layers: Layers = Field(
        default={"relu4_2": 1.0}, description="Content layers, as LAYER=WEIGHT,…"
    )
    style_layers: Layers = Field(
        default=parse_layers(_STYLE), description="Style layers, as LAYER=WEIGHT,…"
    )
    style_loss: StyleLosses = Field(
        default={"wasserstein2": 1.0},
        description="What of the painting's features is matched: gram, gram+mean-std, mean-std, "
        "wasserstein2, sliced, histogram or nearest, or several as LOSS=WEIGHT,…",
    )
    content_loss: ContentLosses = Field(
        default={"features": 1.0},
        description="What of the photo is kept: features, self-similarity or laplacian, or several "
        "as LOSS=WEIGHT,…",
    )
    normalize: bool = Field(
        default=True,
        description="Divide each layer's term by its target's own size, so that weights mean the "
        "same for any pair; off: the papers' plain formulas.",
    )
    pooling: Literal["max", "average", "l2"] = Field(
        default="max", description="Pooling of the network."
    )
    rescale: bool = Field(
        default=True, description="Keep the activations' scale under average and l2 pooling."
    )
    padding: Literal["replicate", "zero"] = Field(
        default="replicate", description="What the first convolution sees beyond the border."
    )
    color: Literal["painting", "luminance", "match", "only"] = Field(
        default="painting",
        description="Colours: the painting's; the photo's, kept by painting its lightness only; "
        "the photo's, given to the painting first; or the painting's only, without its texture.",
    )
    color_strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="With another --color than painting: how much of that.",
    )
    color_method: Literal["covariance", "histogram"] = Field(
        default="covariance",
        description="With --color match and only: match colours in mean and covariance, or all of "
        "their distribution.",
    )
    color_space: Literal["rgb", "oklab"] = Field(
        default="oklab", description="With --color match and only: the space to match them in."
    )
    start: Literal["content", "recolored", "noise", "style-colors", "image"] = Field(
        default="recolored",
        description="Start from the photo, the photo in the painting's colours, noise, noise in "
        "the painting's colours, or a third image (--start-image).",
    )
    levels: Levels = Field(
        default=(),
        description="Levels from coarse to fine as SIDE:EVALUATIONS,…, or auto.",
    )
    single_level: bool = Field(
        default=False, description="With automatic levels: work at the full size only."
    )
    evaluations: int = Field(
        default=60,
        ge=0,
        le=MAX_EVALUATIONS,
        description="Evaluations at the largest level that all layers see, with automatic levels; "
        "the others get a third.",
    )
    preview: bool = Field(
        default=False,
        description="Stop at a small level; impasto continue takes the result to the full size.",
    )
    anchor_above: int = Field(
        default=1400,
        ge=1,
        description="Levels with a longer side than this, px, match only the shallow layers and "
        "are held to the coarser result, which saves more than half of their time.",
    )
    anchor_weight: Weight = Field(
        default=20.0, description="How strongly such levels are held to the coarser result."
    )
    optimizer: Literal["lbfgs", "lbfgs-pixel", "adam"] = Field(
        default="lbfgs", description="L-BFGS over a Laplacian pyramid, L-BFGS over pixels, or Adam."
    )
    history: int = Field(
        default=30, ge=1, le=1000, description="Pairs of vectors that L-BFGS remembers."
    )
    learning_rate: float = Field(
        default=0.03, gt=0, le=10, description="Adam's largest step, in units of the value range."
    )
    tolerance: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Go to the next level once the loss falls by less than this share in ten "
        "evaluations; 0: never.",
    )
    time_limit: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Stop after this many seconds with the best picture so far.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of all noise.")
    fast_convolution: bool = Field(
        default=True,
        description="On CPUs, use convolutions compiled for the processor where they are quicker.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="Where to run."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Number format of the network: float32, or 16 bits, which GPUs are quicker "
        "with; auto: on NVIDIA GPUs bfloat16, where they have it, or float16 with --fast, else "
        "float32.",
    )
    memory: Memory | None = Field(
        default=None,
        description="Memory that the run may take in all, such as 4GB; larger pictures go through "
        "the network in tiles. By default a safe share of what is free.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="CPU threads; by default as many as there are cores.",
    )

    @property
    def print_dpi(self) -> float:
        """Pixels per inch of a print."""
        return DEFAULT_DPI if self.dpi is None else self.dpi

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            name = data.get("preset", "impasto")
            if isinstance(name, str) and name in PRESETS:
                return {**PRESETS[name].values, **data}
        return data

    @model_validator(mode="after")
    def _check_together(self) -> StyleOptions:
        if self.style_weights and not sum(self.style_weights) > 0:
            raise ValueError("--style-weights: at least one share must be above 0")
        if self.print is not None:
            _, side = parse_paper(self.print).pixels(self.print_dpi)
            if self.levels:
                raise UnfitError(
                    "--print and --levels exclude each other; leave one out",
                    "excludes",
                    other="levels",
                )
            if "size" in self.model_fields_set and self.size != side:
                raise UnfitError(
                    "--print and --size exclude each other; leave one out", "excludes", other="size"
                )
            if side > MAX_SIDE:
                raise UnfitError(
                    f"--print: {self.print} at {self.print_dpi:g} dpi is {side} px long, more than "
                    f"{MAX_SIDE}; lower --dpi",
                    "too_many",
                    count=side,
                    most=MAX_SIDE,
                )
            object.__setattr__(self, "size", side)
        elif self.print_fit != "inside":
            raise UnfitError(
                f"--print-fit {self.print_fit}: acts only with --print; add that, or leave it out",
                "needs",
                other="print",
            )
        for name in idle_color_options({"color": self.color, "regions": self.regions}):
            value = getattr(self, name)
            if value != StyleOptions.model_fields[name].default:
                wanted = "another --color" if name == "color_strength" else "--color match or only"
                raise UnfitError(
                    f"--{name.replace('_', '-')} {value}: acts only with {wanted}; add that, or "
                    "leave it out",
                    "needs",
                    other="color",
                )
        if self.preview and self.color == "only":
            raise UnfitError(
                "--preview: --color only takes no time at the full size either; leave one out",
                "excludes",
                other="color",
            )
        if self.levels and self.levels[-1][0] != self.size:
            if "size" in self.model_fields_set:
                raise UnfitError(
                    f"--levels: the last level is {self.levels[-1][0]} px but --size {self.size}; "
                    "make them equal or leave one out",
                    "excludes",
                    other="size",
                )
            object.__setattr__(self, "size", self.levels[-1][0])
        return self


OPTION_GROUPS: dict[str, tuple[str, ...]] = {
    "What": (
        "preset",
        "size",
        "print",
        "print_fit",
        "dpi",
        "aspect",
        "tileable",
        "style_weights",
        "style_scale",
        "strength",
        "regions",
        "color",
        "color_strength",
        "color_method",
        "color_space",
        "start",
        "seed",
        "max_pixels",
    ),
    "Objective": (
        "content_weight",
        "style_weight",
        "tv_weight",
        "tv",
        "photoreal_weight",
        "content_layers",
        "style_layers",
        "style_loss",
        "content_loss",
        "normalize",
    ),
    "Network": ("model", "pooling", "rescale", "padding"),
    "Course": (
        "levels",
        "single_level",
        "evaluations",
        "optimizer",
        "history",
        "learning_rate",
        "tolerance",
        "time_limit",
        "preview",
        "anchor_above",
        "anchor_weight",
        "memory",
        "fast_convolution",
        "device",
        "precision",
        "threads",
    ),
}
"""Every option of a run, with those that it belongs together with; in the order to show them."""


class PrepareOptions(Options):
    """How to prepare a folder of pictures. Frozen; unknown names and values out of range are
    refused.

    Raises:
        OptionError: in one line, in the words of the options.
    """

    command: ClassVar[str] = "prepare"

    size: Sides = Field(
        default=(1024,),
        description="Long side of the results, px; several with commas, each into a folder.",
    )
    enlarge: bool = Field(
        default=False, description="Enlarge pictures that are smaller than that, too."
    )
    crop: Literal["none", "center", "entropy", "attention"] = Field(
        default="none",
        description="Keep the whole picture, or cut it to --aspect: around its middle, where most "
        "happens, or where eyes go first.",
    )
    aspect: Aspect | None = Field(
        default=None, description="With --crop: the shape to cut to, as WIDTH:HEIGHT; 1:1 if none."
    )
    min_side: int = Field(
        default=256, ge=1, le=MAX_SIDE, description="Drop pictures with a shorter side than this."
    )
    min_sharpness: float = Field(
        default=60.0,
        ge=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="Drop pictures less sharp than this; 0 keeps the blurred.",
    )
    format: Literal["jpg", "png", "webp"] = Field(
        default="jpg", description="Format of the results."
    )
    quality: int = Field(default=92, ge=1, le=100, description="Quality of JPEG and WebP results.")
    bits: Literal[8, 16] = Field(default=8, description="Bits per channel; 16 needs --format png.")
    max_pixels: int = Field(
        default=DEFAULT_MAX_PIXELS, ge=1, description="Largest picture file to read, in pixels."
    )

    @model_validator(mode="after")
    def _check_together(self) -> PrepareOptions:
        if self.aspect is not None and self.crop == "none":
            raise ValueError("--aspect: acts only with --crop; add that, or leave it out")
        if self.bits == 16 and self.format != "png":
            raise ValueError(f"--bits 16: {self.format} holds 8; add --format png")
        return self

    @property
    def shape(self) -> tuple[float, float] | None:
        """Width and height that pictures are cut to, in any unit; `None`: they are not cut."""
        if self.crop == "none":
            return None
        return parse_aspect(self.aspect or "1:1")


def idle_color_options(values: Mapping[str, Any]) -> set[str]:
    """Names of the options that say how colours are made and have nothing to act on.

    Args:
        values: options by name; those that are not there have their defaults.
    """
    colors = {values.get("color", "painting")}
    for one in parse_regions(values.get("regions") or ()):
        colors.add(one.get("color") if isinstance(one, Mapping) else one.color)
    idle = set[str]()
    if not colors - {"painting", None}:
        idle.add("color_strength")
    if not colors & {"match", "only"}:
        idle |= {"color_method", "color_space"}
    return idle


def make_options(values: Mapping[str, Any]) -> StyleOptions:
    """Validated options from plain values.

    Raises:
        OptionError: in one line, in the words of the options.
    """
    return StyleOptions(**values)


_REASONS: dict[str, tuple[OptionReason, str]] = {
    "greater_than_equal": ("too_small", "ge"),
    "less_than_equal": ("too_large", "le"),
    "greater_than": ("above", "gt"),
    "less_than": ("below", "lt"),
    "literal_error": ("not_one_of", "expected"),
    "extra_forbidden": ("unknown", ""),
    "string_type": ("no_text", ""),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), ("no_number", "")),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), ("no_whole_number", "")),
    **dict.fromkeys(("bool_type", "bool_parsing"), ("no_switch", "")),
}
"""Pydantic's types of errors, with the part of their context that a translation tells."""


def _reason(fault: Any) -> tuple[OptionReason | None, dict[str, str | float]]:
    """What is wrong, for translations, by one of a validation error's faults."""
    context = fault.get("ctx", {})
    if isinstance(inner := context.get("error"), UnfitError):
        return inner.reason, inner.values
    inside = len(fault["loc"]) > 1 and fault["type"] == "extra_forbidden"
    if fault["type"] not in _REASONS or inside:  # what is unknown is then only a part of the option
        return None, {}
    reason, key = _REASONS[fault["type"]]
    if key == "expected":
        return reason, {"choices": ", ".join(re.findall(r"'([^']*)'", context[key]))}
    return reason, {"limit": context[key]} if key else {}


def option_error(error: ValidationError, command: str = "stylize") -> OptionError:
    """The first fault of a validation error in one line; `command` is whose options they are."""
    first = error.errors()[0]
    reason, values = _reason(first)
    name = str(first["loc"][0]).replace("_", "-") if first["loc"] else ""
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"there is no such option; see impasto {command} --help"
    elif first["type"] == "string_pattern_mismatch":
        described = str(StyleOptions.model_fields[str(first["loc"][0])].description)
        wanted = f"{described[0].lower()}{described[1:]}"
        message = f"'{str(first['input'])[:60]}' is not allowed; give the {wanted}"
    elif name and first["type"] != "missing":
        shown = str(first["input"])
        if not first["type"].startswith("value_error"):
            message = f"'{shown[:60]}' is not allowed: {message[0].lower()}{message[1:]}"
    # What was given may hold line breaks.
    line = " ".join((f"--{name}: {message}" if name else message).split())
    return OptionError(line, reason, **values)
