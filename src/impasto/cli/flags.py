"""Command-line flags from an options model: one flag per field, nothing said twice.

A flag that is not given stays `None`, so that presets can tell a default from a choice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter, Token, convert
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from impasto.errors import OptionError
from impasto.options import OPTION_GROUPS, StyleOptions

_GROUPS = {
    **OPTION_GROUPS,
    "How far": ("depth", "pagination", "max_pages", "max_pictures", "max_bytes", "max_time"),
    "Which pictures": (
        "min_size",
        "max_size",
        "min_aspect",
        "max_aspect",
        "formats",
        "min_colorfulness",
        "max_colorfulness",
        "words",
        "without_words",
        "license",
        "duplicates",
        "max_file",
        "max_megapixels",
    ),
    "How politely": ("delay", "hosts", "timeout", "attempts", "contact", "allow_private"),
}
_PANELS = {
    field: Group(name, sort_key=10 + order)
    for order, (name, fields) in enumerate(_GROUPS.items())
    for field in fields
}
_OPTIONS = Group("Options", sort_key=10)


@cache
def flags(
    model: type[BaseModel],
    leave_out: tuple[str, ...] = (),
    defaults: tuple[tuple[str, Any], ...] | None = (),
) -> Any:
    """A dataclass type whose fields are the model's options as flags, all `None` by default.

    Args:
        model: the options.
        leave_out: fields that have no flag here.
        defaults: (field, value) where the help must show another default than the model's; `None`
            if it must show none.
    """
    shown = {**model().model_dump(mode="json"), **dict(defaults or ())}
    if defaults is None:
        shown = dict.fromkeys(shown)
    panels = _PANELS if model is StyleOptions else dict.fromkeys(model.model_fields, _OPTIONS)
    fields = [
        (
            name,
            Annotated[_type_of(info) | None, _parameter(panels.get(name), info, shown[name])],
            None,
        )
        for name, info in model.model_fields.items()
        if name not in leave_out
    ]
    made = dataclasses.make_dataclass(
        f"{model.__name__}Flags", fields, frozen=True, namespace={"__module__": __name__}
    )
    return Parameter(name="*")(made)


def given(values: Any) -> dict[str, Any]:
    """The flags that were given, by field name; texts stay texts for the model to parse."""
    pairs = ((f.name, getattr(values, f.name)) for f in dataclasses.fields(values))
    found = {name: value for name, value in pairs if value is not None}
    if "style_weights" in found:
        found["style_weights"] = tuple(found["style_weights"].split(","))
    return found


def whole_number(kind: Any, tokens: Sequence[Token]) -> Any:
    """Reads a number that 1.5 is none of; cyclopts would round it.

    Raises:
        OptionError: it has a fraction.
    """
    token = tokens[0]
    with contextlib.suppress(ValueError):
        if not float(token.value).is_integer():
            raise OptionError(f"{token.keyword} {token.value[:40]}: must be a whole number")
    return convert(kind, tokens)


def named_path(_: Any, tokens: Sequence[Token]) -> Path:
    """Reads a path; an empty text, as an unset variable leaves it, is not the current folder.

    Raises:
        OptionError: it is empty.
    """
    token = tokens[0]
    if not token.value.strip():
        raise OptionError(
            f"{token.keyword or 'FOLDER'}: the name is empty; give one, or . for here"
        )
    return Path(token.value)


def _parameter(panel: Group | None, info: FieldInfo, default: Any) -> Parameter:
    shown = default
    if isinstance(default, bool):
        shown = "on" if default else "off"
    suffix = "" if shown in (None, "", []) else f" (default: {shown})"
    return Parameter(
        help=f"{info.description}{suffix}",
        group=panel,
        show_default=False,
        allow_leading_hyphen=True,
        converter=whole_number if _type_of(info) is int else None,
    )


def _type_of(info: FieldInfo) -> Any:
    plain = _without_none(info.annotation)
    # Such a value is a text with a form of its own, such as 500MB.
    if any(isinstance(mark, BeforeValidator) for mark in info.metadata):
        return str
    if plain in (int, float, bool, str) or typing.get_origin(plain) is Literal:
        return plain
    return str


def _without_none(annotation: Any) -> Any:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        kept: Iterable[Any] = [a for a in typing.get_args(annotation) if a is not type(None)]
        (only,) = kept
        return only
    return annotation
