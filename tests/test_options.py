"""Options: one meaning in Python, on the command line, in the schema and in written settings."""

import json
import typing
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from impasto.cli import main
from impasto.errors import OptionError
from impasto.options import (
    CONTENT_LOSSES,
    MAX_SIDE,
    PRESETS,
    STYLE_LOSSES,
    RegionOptions,
    StyleOptions,
    format_layers,
    idle_color_options,
    make_options,
    parse_layers,
    parse_levels,
)

NAMES = [f"relu{b}_{i}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)]
weights = st.floats(0, 1e15, allow_nan=False)


def choices(field: str) -> st.SearchStrategy[str]:
    """Any of the values that a field lists."""
    return st.sampled_from(typing.get_args(StyleOptions.model_fields[field].annotation))


@st.composite
def level_plans(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    """No levels, or some with rising sides."""
    sides = sorted(draw(st.sets(st.integers(1, MAX_SIDE), max_size=4)))
    return tuple((side, draw(st.integers(0, 1000))) for side in sides)


def mixes(names: Sequence[str]) -> st.SearchStrategy[dict[str, float]]:
    """Some losses with weights of which one is not 0."""
    found = st.dictionaries(st.sampled_from(names), st.floats(0, 1e15), min_size=1)
    return found.filter(lambda mix: any(mix.values()))


scales = st.lists(st.floats(0.05, 8), min_size=1, max_size=3).map(tuple)


@st.composite
def regions(draw: st.DrawFn) -> RegionOptions:
    """A region that is left as it is, or painted with something of its own."""
    if draw(st.booleans()):
        return RegionOptions(keep=True)
    styles = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    share = st.floats(1e-3, 1e3)
    return RegionOptions(
        styles=styles,
        shares=draw(st.sampled_from([(), tuple(draw(share) for _ in styles)])),
        strength=draw(st.none() | st.floats(0, 1)),
        scale=draw(st.none() | st.lists(scales, min_size=1, max_size=2).map(tuple)),
        color=draw(st.sampled_from([None, "luminance", "match", "only"])),
    )


def as_text(region: RegionOptions) -> str:
    """A region as a person would write it."""
    if region.keep:
        return "keep"
    words = ["+".join(map(str, region.styles))]
    if region.shares:
        words.append("shares=" + "+".join(map(repr, region.shares)))
    if region.strength is not None:
        words.append(f"strength={region.strength!r}")
    if region.color is not None:
        words.append(f"color={region.color}")
    return ",".join(words)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "preset": choices("preset"),
    "size": st.integers(1, MAX_SIDE),
    "style_weights": st.lists(weights, min_size=1, max_size=4).filter(any).map(tuple),
    "content_weight": weights,
    "style_weight": weights,
    "tv_weight": weights,
    "tv": choices("tv"),
    "photoreal_weight": weights,
    "model": st.sampled_from(["vgg16", "vgg19", "vgg16:torchvision", "vgg19:my.own-file_2"]),
    "content_layers": st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e15), min_size=1),
    "style_layers": st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e15), min_size=1),
    "style_loss": mixes(STYLE_LOSSES),
    "content_loss": mixes(CONTENT_LOSSES),
    "style_scale": st.lists(scales, min_size=1, max_size=3).map(tuple),
    "strength": st.floats(0, 1),
    "aspect": st.sampled_from(["1:1", "16:9", "0.5:12.5"]),
    "tileable": st.booleans(),
    "regions": st.lists(regions(), max_size=3).map(tuple),
    "normalize": st.booleans(),
    "pooling": choices("pooling"),
    "rescale": st.booleans(),
    "padding": choices("padding"),
    "color": choices("color"),
    "color_strength": st.floats(0, 1),
    "color_method": choices("color_method"),
    "color_space": choices("color_space"),
    "start": choices("start"),
    "levels": level_plans(),
    "single_level": st.booleans(),
    "evaluations": st.integers(0, 1_000_000),
    "optimizer": choices("optimizer"),
    "history": st.integers(1, 1000),
    "print": st.sampled_from(["a3", "letter", "300x200mm", "30.5x20cm"]),
    "print_fit": choices("print_fit"),
    "dpi": st.floats(1, 600),
    "max_pixels": st.integers(1, 10**12),
    "learning_rate": st.floats(0, 10, exclude_min=True),
    "tolerance": st.floats(0, 1, exclude_max=True),
    "time_limit": st.floats(0, 1e12, exclude_min=True),
    "seed": st.integers(0, 2**63 - 1),
    "preview": st.booleans(),
    "anchor_above": st.integers(1, 10**6),
    "anchor_weight": weights,
    "memory": st.integers(10**6, 10**15),
    "fast_convolution": st.booleans(),
    "device": choices("device"),
    "precision": choices("precision"),
    "threads": st.integers(1, 1024),
}


@st.composite
def option_values(draw: st.DrawFn) -> dict[str, Any]:
    """Valid values of some options."""
    given_values = draw(st.fixed_dictionaries({}, optional=VALUES))
    if given_values.get("levels"):
        for name in ("size", "print", "evaluations", "single_level"):
            given_values.pop(name, None)
    given_values.pop("size" if "print" in given_values else "print_fit", None)
    for name in idle_color_options(given_values):
        given_values.pop(name, None)
    if given_values.get("color") == "only":
        given_values.pop("preview", None)
    return given_values


def test_every_option_is_tried_here() -> None:
    """The round trips below cover every option there is."""
    assert set(VALUES) == set(StyleOptions.model_fields)


@settings(max_examples=150, deadline=None)
@given(option_values())
def test_options_survive_json(values: dict[str, Any]) -> None:
    """What a picture's settings say makes the very same options, to the last digit."""
    options = make_options(values)
    text = json.dumps(options.model_dump(mode="json"), allow_nan=False)
    assert make_options(json.loads(text)) == options
    for name, value in values.items():
        assert getattr(options, name) == value


class _Reached(Exception):  # noqa: N818  no fault: it carries what reached the engine
    def __init__(self, options: StyleOptions) -> None:
        self.options = options


def by_command_line(arguments: list[str]) -> StyleOptions:
    """The options that reach the engine from a command line."""
    from impasto import run

    def caught(_content: Any, _styles: Any, options: StyleOptions, **_: Any) -> Any:
        raise _Reached(options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "stylization", caught)
        with pytest.raises(_Reached) as reached:
            main(["stylize", "photo.png", "painting.png", *arguments])
    return reached.value.options


def as_flags(values: dict[str, Any]) -> list[str]:
    """The same values as a person would write them."""
    words: list[str] = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, dict):
            words += [f"--{flag}", ",".join(f"{layer}={w!r}" for layer, w in value.items())]
        elif name == "regions":
            words += [f"--{flag}", ";".join(map(as_text, value))]
        elif name == "style_scale":
            words += [f"--{flag}", ",".join("+".join(map(repr, one)) for one in value)]
        elif name == "levels":
            words += [f"--{flag}", ",".join(f"{side}:{count}" for side, count in value) or "auto"]
        elif isinstance(value, tuple):
            words += [f"--{flag}", ",".join(map(repr, value))]
        else:
            words += [f"--{flag}", str(value)]
    return words


@settings(max_examples=15, deadline=None)
@given(option_values())
def test_flags_reach_the_options(values: dict[str, Any]) -> None:
    """Every option has a flag of its name, and its value arrives as if given in Python."""
    if "regions" in values:
        # Commas part the scales of paintings, and what a region has.
        one_scale = [region.model_copy(update={"scale": None}) for region in values["regions"]]
        values["regions"] = tuple(one_scale)
    assert by_command_line(as_flags(values)) == make_options(values)


@pytest.mark.parametrize("field", StyleOptions.model_fields)
def test_each_flag_by_itself_changes_its_option(field: str) -> None:
    """Each flag alone turns its own option from the default to something else."""
    default = getattr(StyleOptions(), field)
    other: dict[str, Any] = {
        "preset": "keras",
        "size": 77,
        "style_weights": (2.0, 1.0),
        "style_scale": ((0.5, 2.0), (1.0,)),
        "strength": 0.25,
        "aspect": "16:9",
        "regions": (RegionOptions(styles=(1, 2), shares=(2.0, 1.0)), RegionOptions(keep=True)),
        "style_loss": {"gram": 1.0, "sliced": 0.5},
        "content_loss": {"self-similarity": 1.0},
        "model": "vgg16",
        "content_layers": {"relu3_1": 0.5},
        "style_layers": {"relu3_1": 0.5},
        "levels": ((10, 3),),
        "time_limit": 3.5,
        "threads": 3,
        "history": 7,
        "print": "a4",
        "dpi": 150.0,
        "anchor_above": 900,
        "anchor_weight": 0.25,
        "memory": 2 * 10**9,
        "max_pixels": 5_000_000,
        "seed": 9,
        "evaluations": 8,
        "content_weight": 0.25,
        "style_weight": 0.25,
        "tv_weight": 0.25,
        "photoreal_weight": 40.0,
        "learning_rate": 0.25,
        "tolerance": 0.25,
        "color_strength": 0.25,
    }
    if isinstance(default, bool):
        value: Any = not default
    elif field in other:
        value = other[field]
    else:
        listed = typing.get_args(StyleOptions.model_fields[field].annotation)
        value = next(choice for choice in listed if choice != default)
    assert value != default
    # Some alone would be refused.
    beside: dict[str, Any] = {"print": "a4"} if field == "print_fit" else {}
    if field.startswith("color_"):
        beside = {"color": "match"}
    assert getattr(by_command_line(as_flags({**beside, field: value})), field) == value


def test_without_flags_the_options_are_the_defaults() -> None:
    """No flag, no change."""
    assert by_command_line([]) == StyleOptions()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_explicit_values_win(name: str) -> None:
    """A preset sets what it lists; what is given beside it wins, in Python and as flags."""
    options = make_options({"preset": name})
    alone = make_options(PRESETS[name].values)
    assert options.model_dump(exclude={"preset"}) == alone.model_dump(exclude={"preset"})
    changed = make_options({"preset": name, "pooling": "l2", "style_layers": "relu2_2=3"})
    assert changed.pooling == "l2"
    assert changed.style_layers == {"relu2_2": 3}
    assert changed.content_layers == options.content_layers
    flags = ["--preset", name, "--pooling", "l2", "--style-layers", "relu2_2=3"]
    assert by_command_line(flags) == changed
    assert PRESETS[name].title
    assert PRESETS[name].citation


def test_gatys_preset_is_the_papers_objective() -> None:
    """`gatys` has the layers, poolings and plain terms of Gatys, Ecker & Bethge 2016, section 3."""
    options = make_options({"preset": "gatys"})
    assert options.content_layers == {"relu4_2": 1}
    assert options.style_layers == {f"relu{block}_1": 0.2 for block in range(1, 6)}
    assert (options.model, options.pooling, list(options.style_loss)) == (
        "vgg19",
        "average",
        ["gram"],
    )
    assert not options.normalize
    assert options.tv_weight == 0
    assert make_options({"preset": "gatys-vgg16"}).model == "vgg16"


BAD: list[tuple[str, Any]] = [
    ("preset", "monet"),
    ("preset", []),
    ("size", 0),
    ("size", MAX_SIDE + 1),
    ("size", 1.5),
    ("size", "big"),
    ("size", [1] * 500),
    ("style_weights", (0, 0)),
    ("style_weights", (1, -1)),
    ("style_weights", (float("inf"),)),
    ("style_weights", ("half",)),
    ("content_weight", -1),
    ("style_weight", float("nan")),
    ("tv_weight", 1e16),
    ("tv", "l3"),
    ("photoreal_weight", -1),
    ("model", "vgg11"),
    ("model", "vgg19:../../etc"),
    ("content_layers", ""),
    ("content_layers", "conv4_2"),
    ("content_layers", 5),
    ("content_layers", None),
    ("content_layers", "relu4_2=1,block4_conv2=2"),
    ("style_layers", "relu1_1=-1"),
    ("style_layers", "relu1_1=nan"),
    ("style_layers", "relu1_1=inf"),
    ("style_layers", "relu1_1=much"),
    ("style_layers", {"relu1_1": None}),
    ("style_layers", "relu1_1\nrelu2_1"),
    ("style_loss", "gramm"),
    ("style_loss", "gram=0"),
    ("style_loss", "gram,gram=2"),
    ("style_loss", 3),
    ("content_loss", "gram"),
    ("style_scale", "0"),
    ("style_scale", "1,,2"),
    ("style_scale", "large"),
    ("style_scale", float("nan")),
    ("style_scale", []),
    ("aspect", "wide"),
    ("aspect", "1:0"),
    ("aspect", "1:101"),
    ("aspect", "1:nan"),
    ("aspect", 1.5),
    ("tileable", "so"),
    ("strength", 1.5),
    ("strength", float("nan")),
    ("regions", "keep,strength=1"),
    ("regions", "1,colour=2"),
    ("regions", "0"),
    ("regions", "1,shares=0"),
    ("regions", "1+2,shares=1+2+3"),
    ("regions", "1,strength=0.5,strength=1"),
    ("regions", "1,scale=99"),
    ("regions", 4),
    ("regions", "1;;keep"),
    ("regions", ";1"),
    ("normalize", "maybe"),
    ("pooling", "mean"),
    ("rescale", 7),
    ("padding", "reflect"),
    ("color", "grey"),
    ("color_strength", 1.5),
    ("color_strength", -0.1),
    ("color_strength", float("nan")),
    ("color_method", "exact"),
    ("color_space", "hsv"),
    ("start", "black"),
    ("levels", "256"),
    ("levels", "256:60,128:40"),
    ("levels", "0:5"),
    ("levels", "10:-1"),
    ("levels", "10:2:3"),
    ("levels", f"{MAX_SIDE + 1}:1"),
    ("levels", 5),
    ("levels", [5]),
    ("single_level", "x"),
    ("evaluations", -1),
    ("optimizer", "sgd"),
    ("history", 0),
    ("print", "a9"),
    ("print", "300x200"),
    ("print", "0x10mm"),
    ("print", "30000x10mm"),
    ("print", 3),
    ("print", ""),
    ("print_fit", "stretch"),
    ("dpi", 0),
    ("dpi", float("nan")),
    ("max_pixels", 0),
    ("learning_rate", 0),
    ("learning_rate", float("nan")),
    ("tolerance", 1),
    ("tolerance", float("nan")),
    ("time_limit", 0),
    ("time_limit", float("inf")),
    ("seed", -1),
    ("seed", 2**63),
    ("preview", "perhaps"),
    ("anchor_above", 0),
    ("anchor_weight", -1),
    ("memory", "1" * 400),
    ("memory", "much"),
    ("memory", "4"),
    ("memory", "-4GB"),
    ("memory", "4 i"),
    ("memory", True),
    ("memory", float("nan")),
    ("memory", "1e300GB"),
    ("memory", "99999999TB"),
    ("fast_convolution", 2),
    ("device", "tpu"),
    ("precision", "float64"),
    ("threads", 0),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_values_are_one_line_that_names_the_option(name: str, value: Any) -> None:
    """Whatever is wrong with a value, the fault is one short line with the option's flag in it."""
    with pytest.raises(OptionError) as caught:
        make_options({name: value})
    message = str(caught.value)
    assert message.startswith(f"--{name.replace('_', '-')}: ")
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"color_strength": 0.5}, "--color-strength 0.5"),
        ({"color_method": "histogram"}, "--color-method histogram"),
        ({"color_space": "rgb", "color": "luminance"}, "--color-space rgb"),
        ({"preview": True, "color": "only"}, "--preview"),
    ],
)
def test_color_options_that_do_nothing_are_refused(values: dict[str, Any], flag: str) -> None:
    """What could have no effect in the way of colouring that was chosen is refused in one line."""
    with pytest.raises(OptionError, match=f"^{flag}: ") as caught:
        make_options(values)
    assert "\n" not in str(caught.value)
    assert "leave" in str(caught.value)


def test_every_option_has_a_bad_value_here() -> None:
    """The list above leaves no option out."""
    assert {name for name, _ in BAD} == set(StyleOptions.model_fields)


def test_unknown_options_are_refused() -> None:
    """A misspelt option is never passed over."""
    with pytest.raises(OptionError, match=r"^--stile-weight: there is no such option; see"):
        make_options({"stile_weight": 3})


def test_levels_and_size_must_agree() -> None:
    """Levels set the size; both given and different, the line names both."""
    assert make_options({"levels": "64:5,300:9"}).size == 300
    assert make_options({"levels": "64:5,300:9", "size": 300}).size == 300
    with pytest.raises(OptionError, match="--levels: the last level is 300 px but --size 200"):
        make_options({"levels": "64:5,300:9", "size": 200})


def test_options_are_frozen() -> None:
    """Options do not change under a run that was made with them."""
    options = StyleOptions()
    with pytest.raises(ValidationError):
        options.size = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        ("relu1_1", {"relu1_1": 1}),
        (" relu1_1 = 0.5 , block2_conv1 ", {"relu1_1": 0.5, "relu2_1": 1}),
        (["block4_conv2", "relu1_1"], {"relu4_2": 1, "relu1_1": 1}),
        ({"block1_conv1": "2e3"}, {"relu1_1": 2000}),
    ],
)
def test_layers_are_read_in_every_form(given_value: Any, expected: dict[str, float]) -> None:
    """Layers may be a text, a list or a mapping, in either naming scheme."""
    assert parse_layers(given_value) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("style_scale", 10**400),
        ("style_scale", [[10**400]]),
        ("style_layers", {"relu1_1": 10**400}),
        ("style_loss", {"gram": 10**400}),
        ("content_loss", {"features": -(10**400)}),
        ("strength", 10**400),
        ("levels", [[10**400, 1]]),
        ("regions", [{"scale": 10**400}]),
    ],
)
def test_numbers_beyond_floating_point_are_refused(name: str, value: Any) -> None:
    """A whole number too large for a float is out of range like any other large number."""
    with pytest.raises(OptionError, match=f"--{name.replace('_', '-')}: "):
        make_options({name: value})


@given(st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e15), min_size=1))
def test_layer_texts_keep_every_digit(layers: dict[str, float]) -> None:
    """Layers written as text read back as exactly the same weights, in the same order."""
    assert list(parse_layers(format_layers(layers)).items()) == list(layers.items())


def test_levels_are_read_in_every_form() -> None:
    """Levels may be a text or pairs; `auto` and nothing are automatic."""
    assert parse_levels("auto") == parse_levels("") == parse_levels([]) == ()
    assert parse_levels("8:1, 16:0") == parse_levels([[8, 1], (16, 0)]) == ((8, 1), (16, 0))


SIMPLE: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list | tuple),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, dict),
}

SCHEMA = StyleOptions.model_json_schema(mode="serialization")


def conforms(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value meets a schema, for the JSON Schema keywords that ours uses."""
    if "$ref" in schema:
        return conforms(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    if "anyOf" in schema:
        return any(conforms(value, option) for option in schema["anyOf"])
    known = {
        *("type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "items"),
        *("title", "description", "default", "examples", "pattern"),
        *("properties", "additionalProperties"),
    }
    assert set(schema) <= known
    if not SIMPLE[schema["type"]](value):
        return False
    checks = [
        "enum" not in schema or value in schema["enum"],
        "minimum" not in schema or value >= schema["minimum"],
        "maximum" not in schema or value <= schema["maximum"],
        "exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"],
        "exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"],
        "items" not in schema or all(conforms(item, schema["items"]) for item in value),
        "properties" not in schema
        or all(conforms(item, schema["properties"][name]) for name, item in value.items()),
    ]
    return all(checks)


@settings(max_examples=40, deadline=None)
@given(option_values())
def test_the_schema_describes_what_is_accepted(values: dict[str, Any]) -> None:
    """The JSON schema has a description, and accepts the written form, of every option."""
    schema = json.loads(json.dumps(StyleOptions.model_json_schema(mode="serialization")))
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(StyleOptions.model_fields)
    written = make_options(values).model_dump(mode="json")
    for name, field in schema["properties"].items():
        assert len(field["description"]) > 10
        assert conforms(written[name], field), name


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", 0), ("tv", "l3"), ("learning_rate", 0.0), ("tolerance", 1.0), ("seed", "x")],
)
def test_the_schema_refuses_what_is_refused(name: str, value: Any) -> None:
    """Limits and choices are in the schema, so that forms can check them."""
    assert not conforms(value, StyleOptions.model_json_schema()["properties"][name])
