"""Training: a step, its course, checkpoints that go on to the same network, several processes."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from impasto import course as courses
from impasto.course import Course, checkpoint_of
from impasto.crops import Ahead, Crops, crop_of
from impasto.distributed import Crew, helpers, joined
from impasto.errors import (
    CheckpointError,
    ImageError,
    InputError,
    NotFiniteError,
    OptionError,
    RunError,
)
from impasto.features import Features
from impasto.images import Bitmap, read_image, write_image
from impasto.material import Folder, Material, gather
from impasto.moments import moments_of
from impasto.networks import (
    IDENTITY,
    VGG,
    Network,
    Shape,
    StylePredictor,
    StyleTable,
    Transfer,
    read_network,
)
from impasto.standing import Kept, Standing, read_kept, write_kept
from impasto.training import (
    STYLE_LAYERS,
    KnownStyles,
    PaintingPool,
    StyleTarget,
    Trainer,
    painting_crops,
    photo_crops,
    relative,
    table_for,
    table_from,
    target_of,
)
from impasto.training_options import TrainingOptions
from impasto.weights import load_weights
from stand_ins import narrow_weights, soft_picture

TINY = Shape((8, 8, 16), 1, (8, 8, 8))
OPTIONS = {"steps": 6, "batch": 2, "side": 32, "style_size": 32, "validate_every": 2, "held_out": 1}


@pytest.fixture
def tiny(narrow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are tiny, and VGG is a narrow one."""
    monkeypatch.setitem(courses.SHAPES, "standard", TINY)


@pytest.fixture
def material(make_png: Callable[..., Path], tmp_path: Path) -> Material:
    """Five photos and two styles."""
    (tmp_path / "photos").mkdir()
    for number in range(5):
        make_png(f"photos/{number}.png", 40 + 3 * number, 36, number)
    styles = [str(make_png(f"{name}.png", 40, 30, 20)) for name in ("red", "blue")]
    return gather(styles, tmp_path / "photos")


def options_of(**values: Any) -> TrainingOptions:
    """Small and quick."""
    return TrainingOptions(**{**OPTIONS, **values})


def tensors(network: torch.nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters."""
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether they are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def run(course: Course) -> dict[str, Tensor]:
    """A training to its end, and its average there."""
    for _ in course:
        pass
    course.finish()
    return tensors(course.trainer.average)


# --- pictures ------------------------------------------------------------------------------------


def test_crops_pass_over_what_cannot_be_read(make_png: Callable[..., Path], tmp_path: Path) -> None:
    """A picture that is damaged is named once, and the same others come whether it is known to be
    or not."""
    good = make_png("good.png", 50, 40)
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:60])
    crops = Crops([([bad, good], 1.0)], 32, 36, 60)
    first = [crops.draw(np.random.default_rng(i)) for i in range(6)]
    assert list(crops.faults) == [bad]
    again = [crops.draw(np.random.default_rng(i)) for i in range(6)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape == (1, 3, 32, 32)
    with pytest.raises(InputError, match=r"none of 1 pictures can be read, such as .*bad\.png"):
        Crops([([bad], 1.0)], 32, 36, 60).draw(np.random.default_rng(0))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 40), (40, 1), (2, 40)])
def test_pictures_of_one_column_make_squares(
    width: int, height: int, make_png: Callable[..., Path]
) -> None:
    """However narrow a picture is, squares come of it, mirrored or not."""
    path = make_png("thin.png", width, height)
    for seed in range(8):
        square = crop_of(path, 32, np.random.default_rng(seed), 36, 60)
        assert square.shape == (1, 3, 32, 32)
        assert torch.isfinite(square).all()


def test_weights_of_folders_say_how_often_their_pictures_come(
    make_png: Callable[..., Path],
) -> None:
    """One picture of weight 9 comes nine times as often as another one of weight 1."""
    one, other = make_png("one.png", 32, 32, 1), make_png("other.png", 32, 32, 2)
    crops = Crops([([one], 9.0), ([other], 1.0)], 32, 32, 32)
    drawn = [crops._any(np.random.default_rng(i)) for i in range(400)]
    # Five standard deviations of such a count.
    assert abs(drawn.count(one) - 360) < 30


def test_reading_ahead_gives_what_is_asked_for() -> None:
    """Results come in any order that is asked for, faults where they belong."""

    def find(number: int) -> int:
        if number == 7:
            raise InputError("seven")
        return number * number

    ahead = Ahead(find, depth=2)
    assert [ahead.at(n) for n in (0, 1, 2, 5, 6, 1, 2)] == [0, 1, 4, 25, 36, 1, 4]
    with pytest.raises(InputError, match="seven"):
        ahead.at(7)
    assert ahead.at(8) == 64
    ahead.close()


# --- styles --------------------------------------------------------------------------------------


def test_known_styles_all_come_before_one_comes_again() -> None:
    """Over each round every style, and the photo itself, comes once."""
    target = StyleTarget({})
    styles = KnownStyles([target] * 4, seed=3)
    drawn = [number for step in range(10) for number in styles.numbers(step, 3)]
    for begin in range(0, 30, 5):
        assert sorted(drawn[begin : begin + 5]) == [0, 1, 2, 3, 4]
    assert styles.target(0, 4, None) is None


def test_a_pool_of_paintings_is_the_same_from_any_step(make_png: Callable[..., Path]) -> None:
    """A training that goes on finds the targets that an uninterrupted one finds."""
    features = Features(narrow_weights(), layers=STYLE_LAYERS)
    files = [make_png(f"{n}.png", 40, 40, n) for n in range(5)]

    def pool() -> PaintingPool:
        return PaintingPool(features, painting_crops([(files, 1.0)], 32), 0, size=4)

    def targets(styles: PaintingPool, steps: range) -> dict[tuple[int, int], Tensor]:
        found = {}
        for step in steps:
            for number in styles.numbers(step, 3):
                target = styles.target(step, number, styles.picture(number))
                if target is not None:
                    found[step, number] = target.moments["relu2_1"].first
        return found

    whole, rest = targets(pool(), range(9)), targets(pool(), range(5, 9))
    assert len(rest) > 8
    assert all(torch.equal(whole[key], value) for key, value in rest.items())


def test_paintings_with_an_empty_corner_are_learned_from_elsewhere(
    make_png: Callable[..., Path], tmp_path: Path
) -> None:
    """Crops that show nothing are not learned from, as long as a folder has anything else."""
    features = Features(narrow_weights(), layers=STYLE_LAYERS)
    white = tmp_path / "white.png"
    write_image(Bitmap(np.ones((3, 40, 40), np.float32)), white)
    files = [white, make_png("rich.png", 40, 40, 1)]
    pool = PaintingPool(features, painting_crops([(files, 1.0)], 32), 0)
    pictures = [pool.picture(number) for number in range(20)]
    assert all(picture is not None and float(picture.std()) > 0.05 for picture in pictures)

    def spread(picture: Tensor) -> float:
        return float(picture.std((2, 3)).max())

    red = tmp_path / "red.png"
    colored = np.broadcast_to(np.array([0.9, 0.1, 0.1], np.float32)[:, None, None], (3, 40, 40))
    write_image(Bitmap(colored.copy()), red)
    pool = PaintingPool(features, painting_crops([([red, files[1]], 1.0)], 32), 0)
    pictures = [pool.picture(number) for number in range(20)]
    assert all(picture is not None and spread(picture) > 0.05 for picture in pictures)
    empty = PaintingPool(features, painting_crops([([white], 1.0)], 32), 0)
    assert float(cast("Tensor", empty.picture(0)).std()) < 0.05


def test_targets_are_at_no_distance_from_themselves() -> None:
    """The style term is zero for the painting itself, and one per term for an empty picture."""
    features = Features(narrow_weights(), layers=STYLE_LAYERS)
    picture = torch.from_numpy(soft_picture(40, 32)).permute(2, 0, 1)[None] / 255
    target = target_of(features, picture)
    assert float(target.distance(target.moments)) < 1e-6
    found = features.extract(picture, STYLE_LAYERS)
    blank = {name: moments_of(0 * value) for name, value in found.items()}
    assert float(target.distance(blank)) == pytest.approx(1, abs=1e-4)
    assert relative(torch.tensor([0.5, 1.0, 4.0])).tolist() == [0.5, 1.0, 3.0]


@torch.no_grad()
def test_a_table_is_made_from_another_network() -> None:
    """Vectors that a network has are taken, and others predicted from their pictures."""
    torch.manual_seed(0)
    picture, photo = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 40, 40)
    known = Network(Transfer(TINY), table=StyleTable(["a", "b", IDENTITY], TINY.vector))
    table = table_from(known, ["b", "new"], [picture, picture])
    assert known.table is not None
    assert torch.equal(table.vectors[0], known.table.vectors[1])
    assert torch.equal(table.vectors[1], known.table.vectors.mean(0))
    assert torch.equal(table.vectors[2], known.table.vectors[2])
    free = Network(Transfer(TINY), predictor=StylePredictor(TINY.vector), eyes=VGG())
    table = table_from(free, ["new"], [picture], [photo, picture])
    wanted = [free.vector_of_picture(shown)[0] for shown in (picture, photo)]
    assert torch.equal(table.vectors[0], wanted[0])
    assert torch.allclose(table.vectors[1], (wanted[0] + wanted[1]) / 2)


# --- material ------------------------------------------------------------------------------------


def test_what_is_trained_with_is_looked_up(material: Material, tmp_path: Path) -> None:
    """Built-in names, files and folders with weights are told apart, and faults named."""
    assert material.names == ["red", "blue"]
    assert material.photos.names == tuple(f"{n}.png" for n in range(5))
    photos = tmp_path / "photos"
    both = gather([], photos, [f"{photos}=2.5", str(photos)])
    assert [folder.weight for folder in both.paintings] == [2.5, 1.0]
    assert len(gather(["all"], photos).styles) == 33
    for styles, paintings, words in [
        ([], [], "no style"),
        (["mosaic"], ["x"], "exclude"),
        (["mosaic", "mosaic"], [], "two styles"),
        (["cat"], [], "is a photo"),
        ([], [f"{photos}=0"], "above 0"),
        ([str(tmp_path / "photo.png")], [], "rename"),
    ]:
        with pytest.raises(OptionError, match=words):
            gather(styles, photos, paintings)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures; two at least"):
        gather(["mosaic"], tmp_path / "empty")
    with pytest.raises(InputError, match="no such folder"):
        gather(["mosaic"], tmp_path / "nowhere")


# --- the course ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("tiny")
def test_a_training_learns_and_writes_its_best_network(material: Material, tmp_path: Path) -> None:
    """The loss of a training comes down, and the file is the best average that was judged."""
    output = tmp_path / "net.safetensors"
    course = Course(material, options_of(steps=60, validate_every=20), output)
    run(course)
    rows = course.standing.validations
    assert [row[0] for row in rows] == [20, 40, 60]
    assert rows[-1][1] < rows[0][1]
    network = read_network(output)
    assert network.names == ["red", "blue"]
    assert network.card["validation"]["step"] == 60
    assert network.card["photos"] == {"folder": "photos", "pictures": 5}
    assert str(tmp_path) not in str(network.card)
    average = course.trainer.average.state_dict()
    for name, value in network.transfer.state_dict().items():
        assert torch.equal(value, average[f"transfer.{name}"].half().float())
    sheet = read_image(tmp_path / "net.png")
    # A head and one photo; the photo, two styles and the photo's own.
    assert (sheet.width, sheet.height) == (4 * 64, 2 * 64)
    assert not checkpoint_of(output).exists()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("killed", range(1, 6))
def test_a_killed_training_goes_on_to_the_same_network(
    killed: int, material: Material, tmp_path: Path
) -> None:
    """Wherever a training is killed after a checkpoint, the rest of it gives the same bytes."""
    whole = run(Course(material, options_of(), tmp_path / "whole.safetensors"))
    output = tmp_path / "part.safetensors"
    course = Course(material, options_of(), output, checkpoint_every=0)
    for progress in course:
        if progress.step == killed:
            break
    course.trainer.close()
    kept = read_kept(checkpoint_of(output))
    assert kept.standing.step == killed
    again = Course(material, options_of(), output, kept=kept)
    assert same(run(again), whole)
    parts = [read_network(tmp_path / f"{name}.safetensors") for name in ("whole", "part")]
    one, other = ({**tensors(p.transfer), "table": p.table.vectors} for p in parts if p.table)
    assert same(one, other)


@pytest.mark.usefixtures("tiny")
def test_a_training_that_is_stopped_keeps_a_checkpoint(material: Material, tmp_path: Path) -> None:
    """Stopping ends after the step at work, with a checkpoint that knows its pictures."""
    output = tmp_path / "net.safetensors"
    course = Course(material, options_of(), output)
    for progress in course:
        if progress.step == 3:
            course.stop()
    course.finish()
    assert (course.reason, course.standing.step) == ("interrupted", 3)
    kept = read_kept(checkpoint_of(output))
    (tmp_path / "photos" / "another.png").write_bytes(b"")
    changed = Material(
        Folder(material.photos.path, (*material.photos.names, "another.png")), material.styles
    )
    with pytest.raises(CheckpointError, match="photos: is not what it was"):
        Course(changed, options_of(), output, kept=kept)


@pytest.mark.usefixtures("tiny")
def test_a_training_out_of_time_goes_on_as_if_it_had_not_been(
    material: Material, tmp_path: Path
) -> None:
    """What is judged because time is up is written, but does not count when the training goes
    on: best network, patience and curves are those of one without a limit."""
    course = Course(material, options_of(), tmp_path / "whole.safetensors")
    whole, standing = run(course), course.standing
    output = tmp_path / "part.safetensors"
    course = Course(material, options_of(), output)
    for progress in course:
        if progress.step == 3:
            break
    course.trainer.close()
    course.reason = "time"
    course.finish()
    assert [row[0] for row in course.standing.validations] == [2, 3]
    kept = read_kept(checkpoint_of(output))
    assert [row[0] for row in kept.standing.validations] == [2]
    again = Course(material, options_of(), output, kept=kept)
    assert same(run(again), whole)
    assert again.standing.validations == standing.validations
    assert again.standing.waited == standing.waited
    one, other = (read_network(tmp_path / f"{name}.safetensors") for name in ("whole", "part"))
    assert same(tensors(one.transfer), tensors(other.transfer))
    assert one.card["validation"] == other.card["validation"]


@pytest.mark.usefixtures("tiny")
def test_a_damaged_first_photo_is_passed_over(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no photo to judge by can be read, the next one serves, and is not trained with."""
    folder = tmp_path / "photos"
    for number in (0, 1):
        (folder / f"{number}.png").write_bytes(b"damaged")
    used: list[str] = []

    def crops(photos: Sequence[Path], side: int) -> Crops:
        used.extend(path.name for path in photos)
        return photo_crops(photos, side)

    monkeypatch.setattr(courses, "photo_crops", crops)
    course = Course(material, options_of(steps=1), tmp_path / "n.safetensors")
    run(course)
    assert used == ["3.png", "4.png"]
    assert sorted(Path(name).name for name in course.standing.faults) == ["0.png", "1.png"]
    for number in range(5):
        (folder / f"{number}.png").write_bytes(b"damaged")
    with pytest.raises(ImageError, match=r"0\.png"):
        Course(material, options_of(steps=1), tmp_path / "n.safetensors")


@pytest.mark.usefixtures("tiny")
def test_faults_may_be_found_while_others_are_counted(material: Material, tmp_path: Path) -> None:
    """Squares are read ahead in the background; a validation may meet a damaged picture there."""
    course = Course(material, options_of(), tmp_path / "net.safetensors")
    faults: Any = course.trainer.photos.faults

    class Late(type(Path())):
        def __str__(self) -> str:
            faults[Path("found meanwhile")] = "damaged"
            return "late"

    faults[Late("late")] = "damaged"
    for progress in course:
        if progress.validation is not None:
            break
    course.trainer.close()
    assert "late" in course.standing.faults


@pytest.mark.usefixtures("tiny")
def test_a_training_stops_when_it_gets_no_better(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many validations without a better one the training ends with the best network."""
    judge = courses.Validation.judge
    marks = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])

    def judged(self: Any, network: Any) -> Any:
        losses, sheet = judge(self, network)
        return courses.replace(losses, total=next(marks)), sheet

    monkeypatch.setattr(courses.Validation, "judge", judged)
    course = Course(
        material,
        options_of(steps=12, patience=2, validate_every=1),
        tmp_path / "net.safetensors",
    )
    run(course)
    assert (course.reason, course.standing.step) == ("patience", 4)
    card = read_network(tmp_path / "net.safetensors").card
    assert card["validation"]["step"] == 2
    assert not course.checkpoint.exists()


@pytest.mark.usefixtures("tiny")
def test_losses_that_are_no_numbers_halve_the_rate(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step or two are passed over; after more of them the training goes back to its last good
    state at half the rate, and gives up in one line where that does not help."""
    monkeypatch.setattr(courses, "GOOD_EVERY", 2)
    advance = Trainer.advance
    left = [1]

    def failing(self: Trainer) -> Any:
        if self.step >= 3 and left[0]:
            left[0] -= 1
            raise NotFiniteError("the loss is no finite number at step 4")
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", failing)
    course = Course(material, options_of(), tmp_path / "net.safetensors")
    seen = [(progress.step, progress.note) for progress in course]
    assert [step for step, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert [bool(note) for _, note in seen] == [False, False, False, True, False, False]
    assert course.trainer.factor == 1
    left[0] = 3
    course = Course(material, options_of(), tmp_path / "third.safetensors")
    seen = [(progress.step, progress.note) for progress in course]
    assert [step for step, _ in seen] == [1, 2, 3, 4, 5, 3, 4, 5, 6]
    assert "on from step 2 at 0.5 of the rate" in seen[5][1]
    left[0] = 100
    course = Course(material, options_of(), tmp_path / "other.safetensors")
    with pytest.raises(NotFiniteError, match=r"step 4, at 0\.0156 of the rate still; lower"):
        list(course)


@pytest.mark.usefixtures("tiny")
def test_a_step_without_numbers_leaves_the_network_as_it_is(material: Material) -> None:
    """Neither parameters nor average take over what is no number."""
    trainer = trainer_of(material)
    trainer.advance()
    before = trainer.state()
    trainer._weights[0] = float("nan")
    with pytest.raises(NotFiniteError, match="step 2"):
        trainer.advance()
    assert same(trainer.state(), before)
    trainer.close()


def test_checkpoints_are_refused_unless_whole(tmp_path: Path) -> None:
    """A checkpoint that is missing, damaged or none is one line."""
    path = tmp_path / "net.ckpt"
    with pytest.raises(CheckpointError, match="no such file"):
        read_kept(path)
    os.mkfifo(tmp_path / "pipe")
    for name in tmp_path, tmp_path / "pipe":
        with pytest.raises(CheckpointError, match="is no file; name the checkpoint"):
            read_kept(name)
    kept = Kept(Standing(step=4), {"network.x": torch.arange(5.0)}, {}, {"a": 1})
    write_kept(path, kept)
    found = read_kept(path)
    assert found.standing == kept.standing
    assert torch.equal(found.tensors["network.x"], torch.arange(5.0))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        read_kept(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="no checkpoint of a training"):
        read_kept(path)
    for header, fault in ("[" * 100_000, "damaged"), ("null", "no checkpoint of a training"):
        path.write_bytes(save({}, {"impasto-training": header}))
        with pytest.raises(CheckpointError, match=fault):
            read_kept(path)


# --- several processes ---------------------------------------------------------------------------


def trainer_of(material: Material, crew: Crew | None = None, batch: int = 4) -> Trainer:
    """A tiny training of two styles, without its course."""
    features = Features(narrow_weights(), layers=STYLE_LAYERS)
    options = options_of(batch=batch, learning_rate=1e-2)
    targets = [
        target_of(features, torch.from_numpy(np.array(read_image(path).pixels))[None])
        for path in material.styles
    ]
    torch.manual_seed(0)
    return Trainer(
        Transfer(TINY),
        table_for(material.names, TINY),
        KnownStyles(targets, 0),
        photo_crops(material.photos.files(), 32),
        features,
        options,
        crew,
    )


def course_of(trainer: Trainer) -> tuple[list[float], dict[str, Tensor]]:
    """Losses of three steps, and the gradients of the first one."""
    losses = [trainer.advance().total]
    slopes = {
        name: parameter.grad.clone()
        for name, parameter in trainer.network.named_parameters()
        if parameter.grad is not None
    }
    return [*losses, *(trainer.advance().total for _ in range(2))], slopes


def work(rank: int, place: str, material: Material, results: Any) -> None:
    """One of two processes: its losses, gradients and network after three steps."""
    torch.set_num_threads(1)
    with joined(rank, 2, place, torch.device("cpu")) as crew:
        trainer = trainer_of(material, crew)
        losses, slopes = course_of(trainer)
        found = {name: value.numpy() for name, value in slopes.items()}
        said = crew.gather({str(rank): "seen"})
        network = {name: value.numpy() for name, value in tensors(trainer.network).items()}
        results.put((rank, losses, found, network, crew.agree(rank + 5), said))
        trainer.close()


def test_two_processes_train_like_one_with_the_whole_batch(
    material: Material, tmp_path: Path
) -> None:
    """Sums of two processes' gradients are those of all photos in one, up to rounding."""
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    place = (tmp_path / "meeting").as_uri()
    started = [
        spawn.Process(target=work, args=(rank, place, material, results), daemon=True)
        for rank in range(2)
    ]
    for process in started:
        process.start()
    found = sorted((results.get(timeout=600) for _ in started), key=lambda item: item[0])
    for process in started:
        process.join(600)
    alone = trainer_of(material)
    losses, slopes = course_of(alone)
    alone.close()
    assert found[0][1] == found[1][1]
    assert found[0][1] == pytest.approx(losses, rel=1e-4)
    for name, value in slopes.items():
        scale = float(value.abs().max())
        assert np.abs(found[0][2][name] - value.numpy()).max() < 1e-4 * scale, name
    for name, value in found[0][3].items():
        assert np.array_equal(value, found[1][3][name])
    assert [item[4] for item in found] == [5, 5]
    assert found[0][5] == {"0": "seen", "1": "seen"}


def fail(rank: int, size: int, place: str) -> None:
    """A process of a training that meets a fault."""
    with joined(rank, size, place, torch.device("cpu")):
        raise OptionError("--device: is amiss")


def test_faults_of_other_processes_are_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ended another process is said by the first one, without a traceback of either; so are
    processes that do not meet."""
    with (
        pytest.raises(RunError, match=r"^a process of the training failed: --device: is amiss$"),
        helpers(fail, [], 2) as place,
        joined(0, 2, place, torch.device("cpu")) as crew,
    ):
        crew.gather({})
    assert "Traceback" not in capfd.readouterr().err
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with (
        pytest.raises(RunError, match="do not meet"),
        joined(0, 2, None, torch.device("cpu")),
    ):
        pass


def test_shares_of_a_batch_cover_it() -> None:
    """Every photo of a batch belongs to one process, whatever their numbers."""
    for batch, size in [(4, 2), (5, 3), (7, 7), (8, 3)]:
        crew = Crew()
        crew.size = size
        found: list[int] = []
        for crew.rank in range(size):
            assert len(crew.share(batch)) >= 1
            found += crew.share(batch)
        assert found == list(range(batch))


# --- any style -----------------------------------------------------------------------------------


@pytest.fixture
def real_eyes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks with the real VGG19: a predictor takes its statistics."""
    monkeypatch.setitem(courses.SHAPES, "standard", TINY)
    monkeypatch.setattr(courses, "EXPECTED", 4)


@pytest.mark.usefixtures("real_eyes")
def test_a_network_for_any_style_is_trained_and_gone_on_with(
    make_png: Callable[..., Path], tmp_path: Path
) -> None:
    """Trained from paintings, killed and resumed, it gives the same predictor; and a table is
    begun with it."""
    for kind in ("photos", "paintings"):
        (tmp_path / kind).mkdir()
        for number in range(4):
            make_png(f"{kind}/{number}.png", 40, 40, number)
    paintings = [f"{tmp_path / 'paintings'}=3"]
    material = gather([], tmp_path / "photos", paintings)
    options = options_of(steps=3, batch=1, validate_every=3)
    features = Features(load_weights("vgg19"), layers=STYLE_LAYERS)
    whole = run(Course(material, options, tmp_path / "whole.safetensors", features=features))
    output = tmp_path / "any.safetensors"
    course = Course(material, options, output, features=features, checkpoint_every=0)
    for progress in course:
        if progress.step == 1:
            course.stop()
    course.finish()
    kept = read_kept(course.checkpoint)
    assert same(run(Course(material, options, output, features=features, kept=kept)), whole)
    network = read_network(output)
    assert network.card["paintings"][0]["weight"] == 3
    picture = torch.rand(1, 3, 32, 32)
    assert network.vector_of_picture(picture).shape == (1, TINY.vector)
    known = gather(["mosaic"], tmp_path / "photos")
    course = Course(
        known, options_of(steps=1), tmp_path / "k.safetensors", init=network, features=features
    )
    begun = course.trainer.network.state_dict()
    for name, value in network.transfer.state_dict().items():
        assert torch.equal(begun[f"transfer.{name}"], value)
    table = Network(Transfer(TINY), table=table_for(["a"], TINY))
    with pytest.raises(OptionError, match="--init: knows only its own styles"):
        Course(material, options, output, init=table, features=features)


def test_the_heap_is_kept_without_fuss() -> None:
    """Asking the C library to keep memory fails nowhere."""
    pid = os.fork() if hasattr(os, "fork") else -1
    if pid == 0:
        from impasto.memory import keep_heap

        keep_heap()
        os._exit(0 if bool((torch.ones(1 << 20) + 1).sum() == 2 << 20) else 1)
    if pid > 0:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
