"""Budgets of memory: what fits whole, what is bounded, and how far."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto import memory
from impasto.memory import LEAST_HISTORY, LEAST_TILE, Budget, allot, free_memory, memory_budget
from impasto.options import make_options

GB = 10**9


@given(
    pixels=st.integers(1, 10**8),
    budget=st.integers(10**6, 10**12),
    optimizer=st.sampled_from(["lbfgs", "lbfgs-pixel", "adam"]),
    history=st.integers(1, 100),
    features=st.floats(0, 200),
)
def test_what_is_allotted_fits(
    pixels: int, budget: int, optimizer: str, history: int, features: float
) -> None:
    """A level stays within its budget wherever the least does, and tells when not all fits."""
    share = allot(pixels, Budget(budget), optimizer=optimizer, history=history, features=features)
    least = allot(pixels, Budget(0), optimizer=optimizer, history=history, features=features)
    assert share.expected <= max(budget, least.expected)
    assert share.bounded == (share.tile_pixels is not None or share.history != history)
    assert share.expected <= budget or share == least
    assert share.tile_pixels is None or LEAST_TILE <= share.tile_pixels < pixels
    assert share.history >= min(history, LEAST_HISTORY)
    more = allot(
        pixels, Budget(2 * budget), optimizer=optimizer, history=history, features=features
    )
    assert more.history >= share.history


def test_an_a3_print_fits_six_gigabytes() -> None:
    """17 megapixels go through 6 GB in tiles, with a shorter history; a preview goes whole."""
    print_size = allot(4961 * 3508, Budget(6 * GB), optimizer="lbfgs", history=30, features=0)
    assert print_size.expected <= 6 * GB
    assert print_size.tile_pixels is not None
    assert print_size.history < 30
    preview = allot(620 * 438, Budget(6 * GB), optimizer="lbfgs", history=30, features=8)
    assert not preview.bounded


@pytest.mark.parametrize("more", [Budget(3 * GB, tile_bytes=1650), Budget(3 * GB, held=GB // 2)])
def test_what_takes_more_leaves_less(more: Budget) -> None:
    """A network that torch runs, or paintings that are kept, leave smaller tiles or less history,
    within the same total."""
    wanted = {"optimizer": "lbfgs", "history": 30, "features": 8.0}
    usual, less = (allot(3_000_000, budget, **wanted) for budget in (Budget(3 * GB), more))
    assert usual.tile_pixels is not None
    assert less.tile_pixels is not None
    assert (less.tile_pixels, less.history) < (usual.tile_pixels, usual.history)
    assert less.expected <= more.total


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4GB", 4 * GB),
        ("800 mb", 800 * 10**6),
        ("1.5GiB", 3 * 2**29),
        ("2g", 2 * GB),
        ("4000000k", 4 * GB),
        (str(4 * GB), 4 * GB),
        (4 * GB, 4 * GB),
    ],
)
def test_memory_is_written_with_its_unit(text: str | int, expected: int) -> None:
    """Decimal and binary units, in any case, or plain bytes."""
    assert make_options({"memory": text}).memory == expected


def test_free_memory_respects_the_control_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container, what the limits of its group and of those above leave counts, without what
    files hold; no limit is none."""
    group = tmp_path / "groups" / "jobs" / "one"
    group.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/jobs/one\n")
    monkeypatch.setattr(memory, "PROCESS", tmp_path)
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * GB))
    assert free_memory() == 8 * GB
    for folder, limit in ((group, "max"), (group.parent, f"{3 * GB}")):
        (folder / "memory.current").write_text(f"{GB}\n")
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {GB // 2}\n")
    assert free_memory() == 2.5 * GB
    (group / "memory.max").write_text(f"{GB // 4}\n")
    assert free_memory() == 0
    (tmp_path / "cgroup").write_text("4:memory:/old\n3:cpu:/other\n")
    old = tmp_path / "groups" / "memory" / "old"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text(f"{2 * GB}")
    (old / "memory.usage_in_bytes").write_text(f"{GB}")
    (old / "memory.stat").write_text("total_inactive_file 0\n")
    assert free_memory() == GB


def test_the_default_budget_is_part_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves a share free, and small changes of what is free do not change it."""
    free = [8.0 * GB]
    monkeypatch.setattr(memory, "free_memory", lambda _: int(free[0]))
    monkeypatch.setattr(memory, "used_memory", lambda _: GB // 2)
    budgets = set[int]()
    for change in range(100):
        free[0] = (8 + change / 1000) * GB
        budgets.add(memory_budget())
    assert len(budgets) <= 2
    assert all(0.5 * 8 * GB / 2 < budget < 0.75 * 8 * GB for budget in budgets)
