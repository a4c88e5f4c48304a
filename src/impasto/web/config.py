"""The studio's settings: each once, with its limits and default, and where a value can come from.

A value on the command line (`--max-size 2048`) wins over the environment
(`IMPASTO_STUDIO_MAX_SIZE=2048`), that over the TOML file which `--config` or
`IMPASTO_STUDIO_CONFIG` names (`max-size = 2048`), and that over the default.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from impasto.collect.options import Bytes
from impasto.errors import OptionError
from impasto.options import MAX_SIDE

ENVIRONMENT_PREFIX = "IMPASTO_STUDIO_"
DATABASE_NAME = "studio.sqlite3"
HOST_OPTIONS = frozenset({"device", "threads", "memory", "max_pixels", "fast_convolution"})
"""Options of a run that follow from the computer, not from the picture."""

BUILT_IN_STYLES, ANY_STYLE = "styles.safetensors", "any.safetensors"
"""Transfer networks that make previews: one for built-in styles, one for any."""

_TRAINED = Path(__file__).parents[1] / "trained"


def _words(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(word for part in value.split(",") if (word := part.strip().lower()))


Words = Annotated[
    tuple[str, ...],
    BeforeValidator(_words),
    WithJsonSchema({"type": "string", "examples": ["studio.example.org,10.0.0.7"]}),
]


class StudioOptions(BaseModel):
    """How the studio serves. Frozen; unknown names and values out of range are refused.

    `load_options` makes them, and says in one line what is wrong and where it was given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data: Path = Field(
        default_factory=lambda: user_data_path("impasto", appauthor=False) / "studio",
        description="Folder of the records, pictures and unfinished runs.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; any but this computer's own demands a password or "
        "tokens.",
    )
    port: int = Field(default=8765, ge=0, le=65535, description="Port; 0 takes a free one.")
    names: Words = Field(
        default=(),
        description="Further names under which browsers reach the studio, with commas, such as "
        "studio.example.org.",
    )
    proxies: Words = Field(
        default=(),
        description="Addresses or networks of reverse proxies whose word on the visitor's address "
        "and on https is taken, with commas.",
    )
    password_file: Path | None = Field(
        default=None,
        description="File with the password that visitors must know, or with its hash, which "
        "--hash-password makes.",
    )
    token_file: Path | None = Field(
        default=None, description="File with a token a line that programs may sign in with."
    )
    database: str | None = Field(
        default=None,
        description="Database of the records as an SQLAlchemy URL, such as "
        "postgresql+psycopg://user@host/name; by default a SQLite file in the data folder.",
    )
    max_size: int = Field(
        default=4096,
        ge=16,
        le=MAX_SIDE,
        description="Largest long side of a result that may be asked for, px.",
    )
    max_upload: Bytes = Field(
        default=50 * 10**6, ge=1000, description="Largest picture file to take, such as 50MB."
    )
    max_clip: Bytes = Field(
        default=200 * 10**6, ge=1000, description="Largest clip to take, such as 200MB."
    )
    max_clip_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="Longest clip to take, seconds.",
    )
    max_pixels: int = Field(
        default=100_000_000, ge=1, description="Largest picture to decode, in pixels."
    )
    max_pictures: int = Field(
        default=500,
        ge=1,
        description="Most pictures that one visitor may keep, uploads and results together.",
    )
    queue: int = Field(
        default=10, ge=1, le=1000, description="Most unfinished jobs that one visitor may have."
    )
    address_queue: int = Field(
        default=300,
        ge=1,
        le=10_000,
        description="Most unfinished jobs that visitors at one address may have together; a school "
        "may share one.",
    )
    address_uploads: int = Field(
        default=3000,
        ge=1,
        description="Pictures that visitors at one address may upload together in a day.",
    )
    free_space: Bytes = Field(
        default=10**9, ge=0, description="Space to leave free on the disk, such as 1GB."
    )
    max_evaluations: int = Field(
        default=2000, ge=1, description="Most evaluations that a job may ask for."
    )
    keep: float | None = Field(
        default=None,
        gt=0,
        le=36_500,
        allow_inf_nan=False,
        description="Days after which jobs that are over or paused, and pictures, are deleted; by "
        "default they are kept.",
    )
    shared_gallery: bool = Field(
        default=False, description="Let visitors show results to all others in a shared gallery."
    )
    previews: bool = Field(
        default=True,
        description="Show quick previews by transfer networks, where there are any.",
    )
    refine: bool = Field(
        default=True, description="Begin the page's jobs with what their quick preview shows."
    )
    networks: Path | None = Field(
        default=None,
        description="Folder of the networks styles.safetensors and any.safetensors; by default "
        "those that come with impasto.",
    )
    devices: Words = Field(
        default=("auto",),
        description="Devices that paint, one job at a time each, such as cpu or cuda:0,cuda:1; "
        "auto takes every GPU, else the CPU.",
    )
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="CPU threads of a painter; by default all cores."
    )
    rate: float = Field(
        default=20.0,
        gt=0,
        allow_inf_nan=False,
        description="Requests that one visitor may make in a second, on average.",
    )
    address_rate: float = Field(
        default=400.0,
        gt=0,
        allow_inf_nan=False,
        description="Requests that one address may make in a second, on average; a school may "
        "share one.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Form of the log: lines to read, or a JSON object a line."
    )

    @field_validator("data", "password_file", "token_file", "networks")
    @classmethod
    def _check_path(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        if "\0" in str(value) or str(value) == "":
            raise ValueError("is no name of a file")
        return value.expanduser().absolute()

    @field_validator("database")
    @classmethod
    def _check_database(cls, value: str | None) -> str | None:
        if value is not None and _lies_in_memory(value):
            raise ValueError(
                "lies in memory, where the studio's other processes cannot see it; name a file, as "
                "sqlite:////folder/file.sqlite3"
            )
        return value

    @field_validator("proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            try:
                network = ipaddress.ip_network(name)
            except ValueError as error:
                if "host bits" in str(error):
                    right = ipaddress.ip_network(name, strict=False)
                    raise ValueError(f"'{name[:60]}' is no network; write {right}") from None
                raise ValueError(
                    f"'{name[:60]}' is no address or network; write one such as 127.0.0.1 or "
                    "10.0.0.0/24"
                ) from None
            if network.prefixlen == 0:
                raise ValueError(
                    f"'{name}' takes everybody's word; name the proxies' own addresses"
                )
        return value

    @field_validator("devices")
    @classmethod
    def _check_devices(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) < len(value) or ("auto" in value and len(value) > 1):
            raise ValueError("name auto, or each device once")
        for name in value:
            if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name):
                raise ValueError(f"'{name[:40]}' is no device; write auto, cpu, mps or cuda:0")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> StudioOptions:
        if self.password_file is None and self.token_file is None:
            if not is_loopback(self.host):
                raise ValueError(
                    f"--host {self.host[:60]}: others can reach that address; add --password-file "
                    "FILE, or leave --host out to serve this computer alone"
                )
            if not self.is_local:
                raise ValueError(
                    "--names and --proxies: others can reach the studio through them; add "
                    "--password-file FILE, or leave them out"
                )
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this computer can reach the studio."""
        return is_loopback(self.host) and not self.proxies and all(map(is_loopback, self.names))

    @property
    def needs_password(self) -> bool:
        """Whether visitors must sign in."""
        return self.password_file is not None or self.token_file is not None

    @property
    def network_folder(self) -> Path:
        """Where the networks of previews lie."""
        return self.networks or _TRAINED

    @property
    def database_url(self) -> str:
        """The records' database as an SQLAlchemy URL."""
        if self.database is not None:
            return self.database
        from sqlalchemy import URL

        file = URL.create("sqlite", database=str(self.data / DATABASE_NAME))
        return file.render_as_string(hide_password=False)


def _lies_in_memory(url: str) -> bool:
    """Whether a database's address is that of a SQLite database without a file.

    Source: sqlite.org/inmemorydb.html.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False  # whoever opens it says what is wrong
    if parsed.get_backend_name() != "sqlite":
        return False
    name = parsed.database or ""
    return not name or ":memory:" in name or parsed.query.get("mode") == "memory"


def is_loopback(host: str) -> bool:
    """Whether an address or name means this computer itself."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        # RFC 6761, section 6.3: the names that never leave the machine.
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def load_options(
    given: Mapping[str, Any],
    *,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> StudioOptions:
    """The settings from the command line, the environment and a file, in this order.

    Args:
        given: values of flags that were given, by field name.
        config: the TOML file; by default what `IMPASTO_STUDIO_CONFIG` names, if anything.
        environment: by default the process's own.

    Raises:
        OptionError: a value cannot be used, or the file cannot be read; in one line that says where
            the value came from.
    """
    variables = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    file = config or _config_of(variables)
    if file is not None:
        for key, value in _read(file).items():
            name = key.replace("-", "_")
            if name in values:
                raise OptionError(f"{file}: {key}: stands there twice; leave one out")
            if isinstance(value, bool) and not isinstance(_default_of(name), bool):
                raise OptionError(f"{file}: {key}: is neither on nor off; give a value")
            values[name], origins[name] = value, f"{file}: {key}"
    for variable, value in variables.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        # An empty variable is one that is not set, as compose files write it.
        if name != variable.lower() and name != "config" and value != "":
            values[name], origins[name] = value, variable
    for name, value in given.items():
        values[name], origins[name] = value, f"--{name.replace('_', '-')}"
    try:
        return StudioOptions.model_validate(values)
    except ValidationError as error:
        raise _refusal(error, origins) from None


def _config_of(variables: Mapping[str, str]) -> Path | None:
    name = variables.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    return Path(name) if name else None


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{file}: is no TOML file ({error}); correct it") from None
    except RecursionError:
        raise OptionError(f"{file}: is nested too deeply; settings are plain values") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{file}: cannot be read ({reason}); name another --config") from None


def _default_of(name: str) -> Any:
    field = StudioOptions.model_fields.get(name)
    return True if field is None else field.default  # an unknown name is refused later


def _refusal(error: ValidationError, origins: Mapping[str, str]) -> OptionError:
    """The first fault in one line, after the place where the value was given."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        # Where flags are named in the message, the value may have come from somewhere else.
        origin = origins.get("host", "--host")
        return OptionError(" ".join(message.replace("--host", origin, 1).split()))
    origin = origins.get(name, f"--{name.replace('_', '-')}")
    if first["type"] == "extra_forbidden":
        message = "there is no such setting; see impasto serve --help"
    elif not first["type"].startswith("value_error"):
        shown = str(first["input"])[:60]
        message = f"'{shown}' is not allowed: {message[0].lower()}{message[1:]}"
    return OptionError(" ".join(f"{origin}: {message}".split()))
