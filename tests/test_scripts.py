"""The scripts run on a copy of the repository's outside, with a stand-in for Python.

The stand-in answers questions (`-c`) with the real interpreter, and instead of making a real
virtual environment or running pip it writes down what it was asked. So nothing is installed and
no network is needed. PATH holds nothing but that stand-in and the few tools the scripts name.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
TOOLS = [
    "sh",
    "cat",
    "cksum",
    "cp",
    "dirname",
    "find",
    "grep",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "tail",
]
TOOLS += ["ln", "sleep"]  # only for the stand-in
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

# $STAND_IN/fail and $STAND_IN/hang hold words of the pip calls that shall fail or never end.
STAND_IN = r"""#!/bin/sh
case "$*" in
  "-m venv "*)
    echo venv >>"$STAND_IN/calls"
    mkdir -p "$3/bin" "$3/lib/python@VERSION@/site-packages"
    : >"$3/pyvenv.cfg"
    ln -s "$0" "$3/bin/python"
    ;;
  *"-m pip install"*)
    echo "pip $*" >>"$STAND_IN/calls"
    while read -r word; do
      case "$*" in *"$word"*) echo "ERROR: no route to the index"; exit 1 ;; esac
    done <"$STAND_IN/fail"
    for last in "$@"; do :; done
    if [ -e ".venv/has $last" ]; then echo "Requirement already satisfied"; exit 0; fi
    echo "Installing collected packages: something"
    while read -r word; do
      case "$*" in *"$word"*) : >"$STAND_IN/hanging"; exec sleep 600 ;; esac
    done <"$STAND_IN/hang"
    : >".venv/has $last"
    ;;
  "-P -m impasto"*) # without -P the caller's folder would be importable
    while [ "$1" != impasto ]; do shift; done
    shift
    printf '<%s>\n' "$PWD" "$@"
    exit 7
    ;;
  *) exec "@PYTHON@" "$@" ;;
esac
exit 0
"""

# Answers questions as the real interpreter would if it were of another age.
OLD_PYTHON = """#!/bin/sh
exec "@PYTHON@" -c 'import sys
sys.version_info = (@NUMBER@, "final", 0)
exec(sys.argv[2])' "$@"
"""

# Is like Debian's Python without the package python3-venv.
BARE_PYTHON = """#!/bin/sh
exec "@PYTHON@" -c 'import sys
sys.modules["ensurepip"] = None
sys.version_info = (3, 12, 4, "final", 0)
exec(sys.argv[2])' "$@"
"""


def write_program(path: Path, text: str) -> None:
    """Writes an executable script with the real interpreter's path and version filled in."""
    path.write_text(text.replace("@PYTHON@", sys.executable).replace("@VERSION@", VERSION))
    path.chmod(0o755)


class Clone:
    """A copy of the scripts in a folder whose name has a space, and the world around it."""

    def __init__(self, folder: Path) -> None:
        self.root = (folder / "a clone").resolve()
        self.outside = folder / "out side"
        self.bin = folder / "bin"
        self.stand_in = folder / "stand-in"
        for new in (self.root, self.outside, self.bin, self.stand_in):
            new.mkdir()
        shutil.copytree(REPOSITORY / "scripts", self.root / "scripts")
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(REPOSITORY / name, self.root)
        leave_out = shutil.ignore_patterns("node_modules")
        shutil.copytree(REPOSITORY / "tests/browser", self.root / "tests/browser", ignore=leave_out)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
        write_program(self.bin / "python3", STAND_IN)
        self.will()

    @property
    def environment(self) -> dict[str, str]:
        """All the variables a script sees."""
        return {"PATH": str(self.bin), "STAND_IN": str(self.stand_in)}

    def will(self, fail: str = "", hang: str = "") -> None:
        """Says which calls of pip fail and which hang from now on."""
        (self.stand_in / "fail").write_text(fail and fail + "\n")
        (self.stand_in / "hang").write_text(hang and hang + "\n")

    def run(
        self, script: str, *arguments: str, program: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs one of the scripts, or a link to it, from a folder outside the clone."""
        return subprocess.run(
            [program or self.root / "scripts" / script, *arguments],
            cwd=self.outside,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start_setup(self) -> subprocess.Popen[str]:
        """Starts a set-up that goes on beside the test, with a process group of its own."""
        return subprocess.Popen(
            [self.root / "scripts/setup"],
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def calls(self) -> list[str]:
        """What the stand-in was asked since the last look."""
        calls = self.stand_in / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return lines

    def made_anew(self) -> bool:
        """Whether .venv was made since the last look at the calls."""
        return "venv" in self.calls()


def wait_for(path: Path) -> None:
    """Waits until another process has made the file."""
    for _ in range(12000):
        if path.exists():
            return
        time.sleep(0.01)
    pytest.fail(f"{path.name} never appeared")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A clone never used before."""
    return Clone(tmp_path)


@pytest.fixture
def ready(clone: Clone) -> Clone:
    """A clone set up for a user."""
    assert clone.run("setup").returncode == 0
    clone.calls()
    return clone


@pytest.fixture
def hung(clone: Clone) -> Iterator[tuple[Clone, subprocess.Popen[str]]]:
    """A clone, and its first set-up in the midst of installing the last packages."""
    clone.will(hang="vgg16")
    process = clone.start_setup()
    wait_for(clone.stand_in / "hanging")
    clone.will()
    yield clone, process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_the_first_use_installs_pip_then_torch_then_the_package_all_pinned(clone: Clone):
    """A fresh clone sets itself up, torch before the rest, every step held by constraints.txt."""
    result = clone.run("setup")
    assert result.returncode == 0, result.stderr
    made, pip, torch, package = clone.calls()
    assert made == "venv"
    assert pip.endswith("--upgrade pip")
    assert torch.endswith("pyvips torch")
    assert package.endswith("--editable .[vgg16,keras,fast,onnx,video]")
    assert all("--constraint constraints.txt" in call for call in (pip, torch, package))
    assert result.stdout == ""


def test_a_finished_set_up_is_not_repeated(ready: Clone):
    """A second use runs neither venv nor pip and says nothing."""
    result = ready.run("setup")
    assert (result.returncode, result.stderr, ready.calls()) == (0, "", [])


@pytest.mark.parametrize(
    "name",
    ["pyproject.toml", "constraints.txt", "scripts/setup", "tests/browser/package-lock.json"],
)
def test_a_changed_input_brings_the_set_up_up_to_date(ready: Clone, name: str):
    """A change of what decides the packages runs pip again, in the .venv that is there."""
    with (ready.root / name).open("a") as file:
        file.write("\n# a new line\n")
    assert ready.run("setup").returncode == 0
    calls = ready.calls()
    assert len(calls) == 3
    assert "venv" not in calls
    ready.run("setup")
    assert ready.calls() == []


def test_a_moved_repository_is_installed_again(ready: Clone):
    """The editable install holds an absolute path, so a move of the folder renews it."""
    ready.root = ready.root.rename(ready.root.with_name("moved"))
    assert ready.run("setup").returncode == 0
    assert ready.calls()[-1].endswith("--editable .[vgg16,keras,fast,onnx,video]")


def test_a_developers_set_up_serves_users_and_stays_one(ready: Clone):
    """Running impasto from a developer's .venv neither installs nor takes the tools away."""
    assert ready.run("setup", "dev").returncode == 0
    assert ready.calls()[-1].endswith("--group dev")
    ready.run("setup", "user")
    assert ready.calls() == []
    (ready.root / "constraints.txt").write_text("# others\n")
    ready.run("setup", "user")
    assert ready.calls()[-1].endswith("--group dev")


def test_a_set_up_goes_on_without_npms_registry(clone: Clone):
    """Where npm installs nothing, a developer is told what is left out, and all else is there."""
    result = clone.run("setup", "dev")
    assert result.returncode == 0
    assert "npm could not install" in result.stderr
    assert not (clone.root / ".venv/browser").exists()


def test_torch_comes_from_the_index_the_user_names(clone: Clone):
    """IMPASTO_TORCH_INDEX holds for torch alone, whose requirements come from the usual index."""
    clone.run("setup", IMPASTO_TORCH_INDEX="https://example.org/cpu")
    with_index = [call for call in clone.calls() if "--index-url" in call]
    assert len(with_index) == 1
    assert with_index[0].endswith("--index-url https://example.org/cpu --no-deps torch")


def test_an_old_python_is_named_in_one_line(clone: Clone):
    """Only too old a Python on PATH ends in one line with its version and the need, exit 2."""
    write_program(clone.bin / "python3", OLD_PYTHON.replace("@NUMBER@", "3, 9, 2"))
    result = clone.run("impasto", "--help")
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert f"{clone.bin}/python3 is Python 3.9.2" in line
    assert "3.11 or newer" in line


def test_an_old_python_is_passed_over_for_a_newer_one(clone: Clone):
    """A python3 too old does not stop the set-up where python3.12 is there too."""
    (clone.bin / "python3").rename(clone.bin / "python3.12")
    write_program(clone.bin / "python3", OLD_PYTHON.replace("@NUMBER@", "3, 9, 2"))
    assert clone.run("setup").returncode == 0


def test_no_python_at_all_is_one_line(clone: Clone):
    """Without any Python on PATH one line says what to install."""
    (clone.bin / "python3").unlink()
    result = clone.run("setup")
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "install Python 3.11 or newer" in line


def test_a_python_without_venv_names_the_package_to_install(clone: Clone):
    """Debian's bare Python ends in one line that names the package with the missing modules."""
    write_program(clone.bin / "python3", BARE_PYTHON)
    result = clone.run("setup")
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "apt install python3.12-venv" in line


def test_the_named_python_is_used_or_refused(clone: Clone):
    """PYTHON, also as a relative path, decides; what is no Python is refused by name."""
    (clone.bin / "python3").rename(clone.outside / "mine")
    assert clone.run("setup", PYTHON="./mine").returncode == 0
    shutil.rmtree(clone.root / ".venv")
    result = clone.run("setup", PYTHON="./absent")
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "/absent'" in line


def test_a_venv_whose_python_is_gone_is_made_anew(ready: Clone):
    """A dangling bin/python, as an upgraded system leaves it, is repaired without being asked."""
    link = ready.root / ".venv/bin/python"
    link.unlink()
    link.symlink_to("/nowhere/python3")
    assert ready.run("setup").returncode == 0
    assert ready.made_anew()


def test_a_venv_of_another_python_version_is_made_anew(ready: Clone):
    """When the Python behind .venv has become a newer one, its packages are out of reach."""
    library = ready.root / ".venv/lib"
    (library / f"python{VERSION}").rename(library / "python3.1")
    assert ready.run("setup").returncode == 0
    assert ready.made_anew()


def test_a_set_up_killed_while_installing_is_made_anew(
    hung: tuple[Clone, subprocess.Popen[str]],
):
    """After a kill in the middle of installing, no half-written package is trusted."""
    clone, process = hung
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    clone.calls()
    result = clone.run("setup")
    assert result.returncode == 0
    assert "incomplete" in result.stderr
    assert clone.made_anew()
    assert not (clone.root / ".venv/setup.unfinished").exists()


def test_a_failed_download_is_told_and_keeps_what_was_there(ready: Clone):
    """A failed upgrade shows the log's end and exits 1; what worked before works on, offline."""
    ready.will(fail="pip")
    result = ready.run("setup", "dev")
    assert result.returncode == 1
    assert "no route to the index" in result.stderr
    assert str(ready.root / ".venv/setup.log") in result.stderr
    assert not ready.made_anew()
    assert ready.run("impasto").returncode == 7
    assert ready.calls() == []


def test_a_set_up_goes_on_after_a_failed_download(clone: Clone):
    """What was installed before the network failed is kept, and only the rest is installed."""
    clone.will(fail="vgg16")
    assert clone.run("setup").returncode == 1
    assert clone.made_anew()
    assert not (clone.root / ".venv/setup.stamp").exists()
    clone.will()
    assert clone.run("setup").returncode == 0
    assert not clone.made_anew()


def test_two_set_ups_at_once_take_turns(hung: tuple[Clone, subprocess.Popen[str]]):
    """A second set-up waits while a process of the first lives, even one that outlived a kill."""
    clone, first = hung
    first.kill()  # its pip, in the same process group, goes on
    first.wait()
    clone.calls()
    second = clone.start_setup()
    assert second.stderr is not None
    assert "waiting" in second.stderr.readline()
    assert clone.calls() == []
    os.killpg(first.pid, signal.SIGKILL)
    _, rest = second.communicate(timeout=120)
    assert second.returncode == 0, rest
    assert clone.made_anew()


def test_a_left_lock_file_does_not_block(ready: Clone):
    """The lock is the kernel's: a lock file without a living holder never needs removing."""
    (ready.root / ".venv/setup.stamp").unlink()
    assert (ready.root / ".venv/setup.lock").exists()
    result = ready.run("setup")
    assert result.returncode == 0
    assert "waiting" not in result.stderr
    with (ready.root / ".venv/setup.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_venv_that_cannot_be_written_is_one_line(clone: Clone):
    """Something in the place of .venv ends in one line that names it."""
    (clone.root / ".venv").write_text("not a folder")
    result = clone.run("setup")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert str(clone.root / ".venv") in line


def test_an_unknown_level_is_refused(clone: Clone):
    """A misspelt level is named together with those there are."""
    result = clone.run("setup", "developer")
    assert result.returncode == 2
    assert "developer" in result.stderr
    assert "user or dev" in result.stderr


ARGUMENTS = ["a b", "", "*", "--x=$HOME", "tab\there", "quote'\"", "-n", "--", "\\n", "日本"]


def test_arguments_folder_and_exit_code_pass_through(ready: Clone):
    """The program gets each argument as typed and the caller's folder; its exit code comes back."""
    result = ready.run("impasto", *ARGUMENTS)
    expected = [str(ready.outside.resolve()), *ARGUMENTS]
    assert result.stdout == "".join(f"<{argument}>\n" for argument in expected)
    assert result.returncode == 7


def test_the_script_works_through_links(ready: Clone):
    """A link to scripts/impasto, absolute or relative or a link to a link, finds the repository."""
    folder = ready.outside / "bin"
    folder.mkdir()
    (folder / "first").symlink_to(ready.root / "scripts/impasto")
    (folder / "second").symlink_to(Path("..") / "bin" / "first")
    for name in ("first", "second"):
        result = ready.run("impasto", "here", program=folder / name)
        assert (result.returncode, result.stdout.splitlines()[1:]) == (7, ["<here>"])


def test_a_foreign_cdpath_does_not_mislead(ready: Clone):
    """CDPATH in the user's environment changes neither the folder found nor the output."""
    ready.outside = ready.root
    result = ready.run("impasto", program=Path("scripts/impasto"), CDPATH=str(ready.bin.parent))
    assert result.stdout == f"<{ready.root}>\n"


def test_the_shell_scripts_pass_shellcheck():
    """ShellCheck knows the traps of quoting and portability better than a reader does."""
    program = Path(sys.executable).parent / "shellcheck"
    if not program.exists():
        pytest.skip("shellcheck is not installed beside this Python")
    found = sorted((REPOSITORY / "scripts").iterdir())
    scripts = [path for path in found if path.suffix != ".py"] + [REPOSITORY / ".ci/run"]
    result = subprocess.run([program, *scripts], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_pins_hold_every_direct_requirement_exactly():
    """constraints.txt pins each distribution once, by ==, without a local version."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(pin.count("==") == 1 and "+" not in pin and " " not in pin for pin in pins)
    names = [pin.split("==")[0].lower().replace("_", "-") for pin in pins]
    assert len(names) == len(set(names))
    assert {"torch", "pip", "pyvips", "pytest", "hatchling", "onnx", "h5py"} <= set(names)
