"""The command from a recipe to the page, in miniature: what is finished is not run again, what fails stops no other."""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

import miniature
from prefloop import layout
from prefloop.files.documents import read_document
from prefloop.files.tables import read_records, read_rows
from prefloop.lab import page
from prefloop.lab.command import main
from prefloop.named import named
from prefloop.records import Preference
from prefloop.records.evaluations import Evaluation, mean
from prefloop.records.overopt import BestOf, Lab
from prefloop.running import Failed, Step, Workers

CELLS = ["cells=[one,min,charged]", "seeds=2", "jobs=1", "num_prompts=16", "best_of=8", "one.pairs=12", "min.pairs=12"]
CELLS += ["charged.pairs=12", "min.members=2", "best-of.batch_prompts=4"]
RLOO = ["rloo.steps=4", "rloo.save_every=1", "rloo.rollouts_per_step=16", "rloo.minibatch_size=16"]
RLOO += ["rloo.max_new_tokens=12"]
Ran = tuple[Path, list[str], Callable[[], int]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The miniature's lab, with stages in this process. Returns: its folder, what ran, and a rerun."""
    folder, ran = tmp_path_factory.mktemp("lab"), list[str]()
    words = [f"out={folder}", *miniature.overrides(), *CELLS, *RLOO]

    def run(self: Workers, step: Step, log: Path) -> None:
        if (step.out / layout.FINISHED).is_file():
            return
        ran.append(f"{step.out.relative_to(folder)}")
        if step.out.parts[-3:] == ("charged", "1", "rloo"):
            raise Failed("its numbers went wrong")
        named(step.stage.function)(step.config)

    def again() -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Workers, "run", run)
            return main(["helpdesk", *words])

    assert again() == 1  # one failed
    return folder, ran, again


def test_every_number_is_what_its_stages_measured(ran: Ran):
    folder, _, _ = ran
    found = read_document(folder / layout.LAB / layout.OVEROPT, Lab)
    assert [cell.name for cell in found.cells] == ["one", "min", "charged"]
    assert found.seeds == (0, 1)
    for cell in found.cells:
        for run in cell.runs:
            if (cell.name, run.seed) == ("charged", 1):
                assert run.failed == "its numbers went wrong"
                continue
            (best_file,) = (folder / layout.LAB / "best-of").glob(f"{run.seed}-*/{layout.BEST_OF}")
            best = read_document(best_file, BestOf)
            place = folder / layout.LAB / cell.name / str(run.seed) / layout.EVALUATE / layout.EVALUATION
            told = read_document(place, Evaluation)
            start, last = (told.models[name].validation for name in ("reference", "step-000004"))
            gained = ((mean(last.measured("utility")) or 0) - (mean(start.measured("utility")) or 0)) / best.deviation
            assert run.trained[-1].gold == pytest.approx(gained)
            assert run.trained[-1].kl == pytest.approx(mean(last.kl_nats))
            assert [point.place for point in run.trained] == [0, 1, 2, 3, 4]
            assert [point.place for point in run.chosen] == ([] if cell.name == "charged" else [1, 2, 4, 8])
    one, lowest = found.cells[:2]
    ends = [a.trained[-1].gold - b.trained[-1].gold for a, b in zip(lowest.runs, one.runs, strict=True)]
    assert lowest.ahead is not None
    assert lowest.ahead.mean == pytest.approx(sum(ends) / 2)
    assert one.rl is not None
    assert one.rl.num_points == 8


def test_one_reward_model_learns_from_what_was_planted_and_several_use_it(ran: Ran):
    folder, did, _ = ran
    kinds = sorted(path.name for path in (folder / layout.LAB / "rewards").iterdir())
    assert kinds == ["pairs-12-flips-0.25-members-1", "pairs-12-flips-0.25-members-2"]
    assert sum("rewards" in name for name in did) == 4  # of two seeds
    true = {row.id: row for row in read_records(folder / layout.COLLECT / layout.PREFERENCES, Preference)}
    for kind in kinds:
        rows = read_records(folder / layout.LAB / "rewards" / kind / "0" / layout.PREFERENCES, Preference)
        assert len(rows) == 12
        assert {row.id for row in rows} <= true.keys()
    assert all((folder / layout.LAB / "charged" / "0" / "rloo" / layout.METRICS).is_file() for _ in kinds)


def test_what_is_finished_is_not_run_again_and_the_page_is_the_same(ran: Ran):
    folder, did, again = ran
    out = folder / layout.LAB
    names = (layout.OVEROPT, layout.PAGE, layout.PAGE_ZH, layout.PICTURE, layout.PICTURE_ZH)
    before = {name: (out / name).read_bytes() for name in names}
    did.clear()
    for name in names:
        (out / name).unlink()  # as if it was killed before it could write
    assert again() == 1
    assert did == ["lab/charged/1/rloo"]  # what failed is tried again
    assert {name: (out / name).read_bytes() for name in names} == before


def test_the_picture_stands_by_itself_and_the_page_tells_what_failed(ran: Ran):
    folder, _, _ = ran
    found = read_document(folder / layout.LAB / layout.OVEROPT, Lab)
    for language, name in page.PICTURES.items():
        root = ElementTree.parse(folder / layout.LAB / name).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len([each for each in root if each.tag.endswith("}g")]) == 3  # a plot for each cell
        text = (folder / layout.LAB / page.PAGES[language]).read_text(encoding="utf-8")
        assert all(f">{cell}<" in text for cell in ("one", "min", "charged"))
        assert page.alarms(found, language)[0] in text
    assert page.alarms(found, "en") == ["charged, seed 1, did not come to its end: its numbers went wrong"]
    table = page.lines(found)
    assert len(table) == 4


def test_the_best_of_n_is_told_of_all_rewards_of_a_seed(ran: Ran):
    folder, _, _ = ran
    (file,) = (folder / layout.LAB / "best-of").glob(f"0-*/{layout.BEST_OF}")
    best = read_document(file, BestOf)
    assert list(best.curves) == ["one", "min"]  # a charge chooses nothing
    for curve in best.curves.values():
        first, *_, last = curve.points
        assert first.utility.mean == pytest.approx(best.mean)
        assert first.score.mean == pytest.approx(curve.mean)
        assert last.kl == pytest.approx(math.log(8) - 7 / 8)
        assert [p.score.mean for p in curve.points] == sorted(p.score.mean for p in curve.points)
    rows = list(read_rows(folder / layout.LAB / "held_out.jsonl"))
    assert 0 < len(rows) <= 300
