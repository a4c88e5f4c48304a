"""The files in deploy/: they name only what exists, and fit each other and the docs."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from impasto.cli import app
from impasto.cli.flags import given
from impasto.web.config import ENVIRONMENT_PREFIX, StudioOptions, load_options

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "impasto.service").read_text("utf-8")
DOCKERFILE = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text("utf-8"))
PAGE = (ROOT / "docs" / "studio.md").read_text("utf-8")


def _values(name: str) -> list[str]:
    """What the unit gives a setting, each time."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def _told(words: list[str], environment: dict[str, str], secret: Path) -> StudioOptions:
    """The settings of `serve WORDS` with variables; a file of settings is that of deploy/.

    Raises:
        OptionError: one does not exist, or its value is not allowed.
    """
    assert words[0] == "serve"
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    flags: dict[str, Any] = (
        given(bound.arguments["options"]) if "options" in bound.arguments else {}
    )
    config = bound.arguments.get("config")
    variables = {
        name: str(secret) if name.endswith("_FILE") else value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }
    return load_options(
        flags, config=None if config is None else DEPLOY / config.name, environment=variables
    )


def test_unit_starts_the_studio(tmp_path: Path) -> None:
    """The unit's flags, variables and file of settings are ones that the studio takes, and let
    others reach it with the password; its folder is the one that the unit may write.
    """
    (command,) = _values("ExecStart")
    words = shlex.split(command)
    assert words[1:4] == ["-P", "-m", "impasto"]
    pairs = [pair for line in _values("Environment") for pair in shlex.split(line)]
    environment = dict(pair.split("=", 1) for pair in pairs)
    options = _told(words[4:], environment, tmp_path / "secret")
    assert not options.is_local
    assert options.password_file is not None
    assert str(options.data) == f"/var/lib/{_values('StateDirectory')[0]}"
    (credential,) = _values("LoadCredential")
    name, _, source = credential.partition(":")
    assert environment["IMPASTO_STUDIO_PASSWORD_FILE"] == f"%d/{name}"
    # A setting that is refused ends the command with 2.
    assert _values("RestartPreventExitStatus") == ["2"]
    installed = set(re.findall(r"^install -D .* (/\S+)", PAGE.replace(" <<<", "\n"), re.MULTILINE))
    config = words[words.index("--config") + 1]
    assert installed == {source, config, "/etc/systemd/system/impasto.service"}


def test_page_installs_what_there_is() -> None:
    """What the docs copy from the repository is in it."""
    copied = re.findall(r"/opt/impasto/((?:deploy|scripts)/\S+|constraints\.txt)", PAGE)
    assert len(copied) >= 4
    assert [name for name in copied if not (ROOT / name).is_file()] == []


def test_container_starts_the_studio(tmp_path: Path) -> None:
    """The image's variables and flags are ones that the studio takes, its port is the one that is
    asked for health and that the docs open, and its files lie in the volume.
    """
    pairs = [
        pair
        for line in re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE)
        for pair in line.split()
    ]
    environment = dict(pair.split("=", 1) for pair in pairs)
    words = json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[0])
    options = _told(words, environment, tmp_path / "secret")
    assert not options.is_local
    assert f"EXPOSE {options.port}\n" in DOCKERFILE
    assert f"http://127.0.0.1:{options.port}/healthz" in DOCKERFILE
    assert f"-p {options.port}:{options.port} " in PAGE
    (volume,) = re.findall(r"^VOLUME (\S+)$", DOCKERFILE, re.MULTILINE)
    assert options.data.is_relative_to(volume)
    assert f"cat > {environment['IMPASTO_STUDIO_PASSWORD_FILE']}" in PAGE
    assert Path(environment["IMPASTO_STUDIO_PASSWORD_FILE"]).is_relative_to(volume)
    assert f"-v impasto:{volume} " in PAGE


def test_container_has_the_pip_that_it_needs() -> None:
    """The image's pip is that of the constraints before it is given options of newer ones."""
    before, _, after = DOCKERFILE.partition("-c constraints.txt --upgrade pip")
    assert "pip install" in after
    assert "--build-constraint" in after
    assert "--build-constraint" not in re.sub(r"^#.*$", "", before, flags=re.MULTILINE)
    pinned = re.search(r"^pip==(\d+)\.(\d+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    # Since pip 25.3, says its changelog.
    assert (int(pinned[1]), int(pinned[2])) >= (25, 3)


def test_unit_outlives_a_painter_without_memory() -> None:
    """Where the system kills a painter for its memory, systemd leaves the studio to start another;
    its default would be to stop the whole unit.
    """
    assert _values("OOMPolicy") == ["continue"]


def test_examples_of_settings(tmp_path: Path) -> None:
    """Every file of settings in the docs is one that the studio takes."""
    examples = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert examples
    for number, text in enumerate(examples):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        assert load_options({}, config=file, environment={}).password_file is not None


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """The unit is one that systemd finds nothing to say about where its program is there."""
    program = shutil.which("true")
    assert program is not None
    unit = tmp_path / "impasto.service"
    unit.write_text(UNIT.replace("/opt/impasto/.venv/bin/python", program))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "impasto" in line]
    assert (done.returncode, said) == (0, [])
