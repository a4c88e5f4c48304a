"""The studio's settings: precedence, limits, and words that name where a value came from."""

from pathlib import Path

import pytest

from impasto.errors import OptionError
from impasto.web.config import StudioOptions, is_loopback, load_options


def test_sources_win_in_order(tmp_path: Path) -> None:
    """A flag wins over the environment, that over the file, and that over the default."""
    file = tmp_path / "studio.toml"
    file.write_text('port = 1001\nmax-size = 1002\nmax_upload = "10MB"\n')
    environment = {"IMPASTO_STUDIO_PORT": "2001", "IMPASTO_STUDIO_MAX_SIZE": "2002", "PORT": "9"}
    options = load_options({"port": "3001"}, config=file, environment=environment)
    assert (options.port, options.max_size, options.max_upload) == (3001, 2002, 10_000_000)
    assert options.queue == StudioOptions.model_fields["queue"].default


def test_file_named_by_environment(tmp_path: Path) -> None:
    """The environment can name the file of settings, and an empty variable counts as none."""
    file = tmp_path / "studio.toml"
    file.write_text("queue = 3")
    environment = {"IMPASTO_STUDIO_CONFIG": str(file), "IMPASTO_STUDIO_QUEUE": ""}
    assert load_options({}, environment=environment).queue == 3


@pytest.mark.parametrize(
    ("given", "environment", "text", "origin"),
    [
        ({"port": "70000"}, {}, "", "--port: "),
        ({}, {"IMPASTO_STUDIO_MAX_SIZE": "huge"}, "", "IMPASTO_STUDIO_MAX_SIZE: "),
        ({}, {}, 'max-upload = "lots"', "studio.toml: max-upload: "),
        ({}, {}, "colour = 1", "studio.toml: colour: there is no such setting"),
        ({}, {"IMPASTO_STUDIO_COLOUR": "1"}, "", "IMPASTO_STUDIO_COLOUR: there is no such"),
        ({}, {}, "port = ", "studio.toml: is no TOML file"),
        ({"devices": "cpu,tpu"}, {}, "", "--devices: 'tpu' is no device"),
        ({"proxies": "*"}, {}, "", "--proxies: '*' is no address or network"),
        ({"proxies": "proxy.local"}, {}, "", "--proxies: 'proxy.local' is no address or network"),
        ({}, {}, 'proxies = "10.0.0.1,nonsense"', "studio.toml: proxies: 'nonsense' is no address"),
        ({"proxies": "10.0.0.1/8"}, {}, "", "--proxies: '10.0.0.1/8' is no network; write 10.0."),
        ({"proxies": "0.0.0.0/0"}, {}, "", "--proxies: '0.0.0.0/0' takes everybody's word"),
        ({"proxies": "::/0"}, {}, "", "--proxies: '::/0' takes everybody's word"),
        ({"keep": "0"}, {}, "", "--keep: "),
        ({"database": "sqlite://"}, {}, "", "--database: lies in memory"),
        ({"database": "sqlite:///:memory:"}, {}, "", "--database: lies in memory"),
        ({}, {}, 'database = "sqlite+pysqlite:///file:x?mode=memory&uri=true"', "lies in memory"),
        ({}, {}, "max_upload = true", "studio.toml: max_upload: is neither on nor off"),
        ({}, {}, "max-size = 99\nmax_size = 98", "studio.toml: max_size: stands there twice"),
        ({}, {}, "a = " + "[" * 100_000, "studio.toml: is nested too deeply"),
        ({"keep": "nan"}, {}, "", "--keep: "),
    ],
)
def test_faults_name_their_source(
    tmp_path: Path, given: dict[str, str], environment: dict[str, str], text: str, origin: str
) -> None:
    """A value that cannot be used is refused in one line that says where it was given."""
    file = tmp_path / "studio.toml"
    file.write_text(text)
    with pytest.raises(OptionError) as caught:
        load_options(given, config=file, environment=environment)
    assert origin in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file of settings that is not there is named, with a remedy."""
    with pytest.raises(OptionError, match=r"none\.toml: cannot be read .*--config"):
        load_options({}, config=tmp_path / "none.toml", environment={})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "studio.example.org"])
def test_open_addresses_demand_a_secret(host: str, tmp_path: Path) -> None:
    """An address that others can reach is refused without a password or tokens, and taken with."""
    with pytest.raises(OptionError, match="add --password-file"):
        load_options({"host": host}, environment={})
    with pytest.raises(OptionError, match="IMPASTO_STUDIO_HOST"):
        load_options({}, environment={"IMPASTO_STUDIO_HOST": host})
    for name in "password_file", "token_file":
        options = load_options({"host": host, name: tmp_path / "secret"}, environment={})
        assert not options.is_local


@pytest.mark.parametrize("name", ["names", "proxies"])
def test_proxied_studios_demand_a_secret(name: str, tmp_path: Path) -> None:
    """A studio that others reach through a proxy is refused without a password, and taken with."""
    with pytest.raises(OptionError, match=r"--names and --proxies: .*add --password-file"):
        load_options({name: "10.0.0.9"}, environment={})
    secret = {"password_file": tmp_path / "secret"}
    assert not load_options({name: "10.0.0.9", **secret}, environment={}).is_local
    assert load_options({"names": "studio.localhost"}, environment={}).is_local


def test_proxies_are_addresses_or_networks(tmp_path: Path) -> None:
    """Addresses and networks of both kinds are taken as proxies."""
    given = {"proxies": "127.0.0.1, 10.1.0.0/16,::1,FD00::/8", "password_file": tmp_path / "secret"}
    options = load_options(given, environment={})
    assert options.proxies == ("127.0.0.1", "10.1.0.0/16", "::1", "fd00::/8")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_secret(host: str) -> None:
    """This computer's own addresses and names are served without a password."""
    assert is_loopback(host)
    assert load_options({"host": host}, environment={}).is_local


@pytest.mark.parametrize("host", ["localhost.example.org", "127.0.0.1.nip.io", "10.0.0.1"])
def test_lookalikes_are_not_loopback(host: str) -> None:
    """Names that only begin like this computer's own count as others' addresses."""
    assert not is_loopback(host)


def test_database_is_in_the_data_folder(tmp_path: Path) -> None:
    """Without a database of one's own the records lie in the data folder."""
    options = load_options({"data": str(tmp_path)}, environment={})
    assert options.database_url == f"sqlite:///{tmp_path}/studio.sqlite3"
    given = load_options({"database": "postgresql+psycopg://host/x"}, environment={})
    assert given.database_url == "postgresql+psycopg://host/x"
    given = load_options({"database": "sqlite:////folder/x.sqlite3"}, environment={})
    assert given.database_url == "sqlite:////folder/x.sqlite3"
