"""revise: drafts become revisions by principles that are drawn and recorded; nothing that was said is lost."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collect.fake_judge import failed, said, serving
from prefloop.errors import UserError
from prefloop.feedback.data import split
from prefloop.files.foreign import read_demonstrations, read_preferences
from prefloop.files.tables import read_records
from prefloop.records import Demonstration, Preference, Revised
from prefloop.revise import stage
from prefloop.revise.config import ReviseConfig, ReviserConfig
from prefloop.revise.stage import revise
from prefloop.reward.config import RewardConfig
from prefloop.seeds import is_held_out
from revise.conftest import asked, pleases

FILES = ("demonstrations.jsonl", "preferences.jsonl", "held_out.jsonl", "revisions.jsonl")


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "finished.json").read_text())["result"]


def rows_of(folder: Path) -> list[Revised]:
    return read_records(folder / "revisions.jsonl", Revised)


def test_a_draft_is_criticised_and_rewritten_and_all_of_it_is_kept(make: Callable[..., ReviseConfig]):
    with serving(pleases) as fake:
        folder = revise(make(fake))
    rows = rows_of(folder)
    assert [row.id for row in rows] == [f"p{i}" for i in range(20)]
    assert len(fake.bodies) == 40
    for row in rows:
        (step,) = row.steps
        assert (step.critique, step.revision, step.failure) == ("It is rude.", f"please {row.draft}", "")
        assert (row.revision, row.reviser) == (step.revision, "model:m")
        assert row.held_out == is_held_out(row.messages[0].content, 0.2, 0)
    drawn = Counter(row.steps[0].principle for row in rows)
    assert {*drawn} == {"polite", "short"}
    told = result_of(folder)
    assert {name: numbers["drawn"] for name, numbers in told["principles"].items()} == drawn
    assert (told["num_revised"], told["num_unchanged"], told["num_left_out"], told["num_requests"]) == (20, 0, 0, 40)


def test_what_is_asked_follows_the_principle(make: Callable[..., ReviseConfig]):
    """The critique request, then the revision request with the critique in it, of the principle that is recorded."""
    with serving(pleases) as fake:
        folder = revise(make(fake))
    principle = {row.messages[0].content: row.steps[0].principle for row in rows_of(folder)}
    for body in fake.bodies:
        what, prompt, _, critique = asked(body)
        request = {
            ("critique", "polite"): "Is it polite?",
            ("critique", "short"): "Is it short?",
            ("revision", "polite"): "Make it polite.",
            ("revision", "short"): "Make it short.",
        }[what, principle[prompt]]
        content = body["messages"][0]["content"]
        assert f"[End]\n\n{request} " in content
        assert critique == ("It is rude." if what == "revision" else "")
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 1.0, 256)


def test_others_read_what_it_writes(make: Callable[..., ReviseConfig]):
    """Demonstrations for sft and pairs for dpo, marked as nobody's; the held-out prompts are in neither."""
    with serving(pleases) as fake:
        folder = revise(make(fake))
    rows = {row.id: row for row in rows_of(folder)}
    held_out = {row.id for row in rows.values() if row.held_out}
    assert 0 < len(held_out) < 20
    taught = read_demonstrations(folder / "demonstrations.jsonl", say=lambda text: None).records
    assert {d.id for d in taught} == rows.keys() - held_out
    for d in taught:
        principle = rows[d.id].steps[0].principle
        assert (d.response, d.tags) == (rows[d.id].revision, ("t", "revised", f"principle:{principle}"))
        assert isinstance(d, Demonstration)
        assert d.source == "revise:model:m"
    for name, ids in (("preferences.jsonl", rows.keys() - held_out), ("held_out.jsonl", held_out)):
        pairs = read_preferences(folder / name, say=lambda text: None).records
        assert {p.id for p in pairs} == {f"r-{i}" for i in ids}
        for p in pairs:
            row = rows[p.id.removeprefix("r-")]
            assert (p.chosen, p.rejected, p.decided) == (row.revision, row.draft, True)
            assert "revised" in p.tags
            assert [(vote.annotator, vote.annotator_kind) for vote in p.votes] == [("revise:model:m", "model")]
    given = [str(folder / name) for name in ("preferences.jsonl", "held_out.jsonl")]
    made = split(
        RewardConfig(model="m", out="o", preferences=given[0], held_out=given[1], trust={"model": 0.3, "revised": 0.5})
    )  # whoever learns from pairs takes both files
    assert (len(made.training), len(made.validation)) == (20 - len(held_out), len(held_out))


def test_revisions_in_a_row_begin_where_the_one_before_ended(make: Callable[..., ReviseConfig]):
    with serving(pleases) as fake:
        folder = revise(make(fake, rounds=3))
    rows = rows_of(folder)
    assert {len(row.steps) for row in rows} == {3}
    assert all(row.revision == f"please please please {row.draft}" for row in rows)
    assert len({tuple(step.principle for step in row.steps) for row in rows}) > 3
    assert sum(n["drawn"] for n in result_of(folder)["principles"].values()) == 60


def test_the_order_of_the_answers_and_the_parts_do_not_matter(make: Callable[..., ReviseConfig]):
    with serving(pleases) as fake:
        one = revise(make(fake, "one", reviser={"concurrency": 1}))
        many = revise(make(fake, "many", reviser={"concurrency": 6}))
    assert all((one / name).read_bytes() == (many / name).read_bytes() for name in FILES)


def test_another_seed_draws_other_principles(make: Callable[..., ReviseConfig]):
    with serving(pleases) as fake:
        both = [rows_of(revise(make(fake, f"s{seed}", seed=seed))) for seed in (0, 1)]
    drawn = [[row.steps[0].principle for row in rows] for rows in both]
    assert drawn[0] != drawn[1]


def test_what_was_answered_is_not_asked_again(make: Callable[..., ReviseConfig]):
    """Stopped by max_calls in the second part, the same command with a higher limit asks the rest and nothing twice;
    what comes of it is what an undisturbed run gives."""
    with serving(pleases) as fake:
        whole = revise(make(fake, "whole"))
        before = len(fake.bodies)
        with pytest.raises(UserError, match=r"the reviser was sent 27 requests, which is reviser\.max_calls"):
            revise(make(fake, reviser={"max_calls": 27}))
        folder = revise(make(fake))
    assert (before, len(fake.bodies)) == (40, 80)
    assert all((whole / name).read_bytes() == (folder / name).read_bytes() for name in FILES)


def test_cost_is_bounded(make: Callable[..., ReviseConfig]):
    """Each answer costs 0.102 (100 tokens read, 2 written, 1 for a thousand): the fifth request finds 0.408."""
    price = {"price_prompt": 1.0, "price_response": 1.0, "concurrency": 1, "max_cost": 0.4}
    with (
        serving(pleases) as fake,
        pytest.raises(UserError, match=r"answers cost 0\.408, and reviser\.max_cost is 0\.4"),
    ):
        revise(make(fake, reviser=price))
    assert len(fake.bodies) == 4


@pytest.mark.parametrize(
    ("answer", "why"),
    [("", "empty"), ("<think>hm</think>", "empty"), ("[Response]\nno", "malformed"), (None, "refused")],
)
def test_an_answer_that_cannot_be_used_is_asked_again_then_left_out(
    make: Callable[..., ReviseConfig], answer: str | None, why: str
):
    """Of prompt 3 alone: three times, the last two with a reminder; counted, named, and in no file but revisions."""

    def bad(body: dict[str, Any], number: int) -> Any:
        if asked(body)[:2] != ("revision", "where is 3?"):
            return pleases(body, number)
        return said(answer) if answer is not None else said(None, refusal="No.")

    with serving(bad) as fake:
        folder = revise(make(fake, held_out=0.0))
    times = [b["messages"][0]["content"] for b in fake.bodies if asked(b)[:2] == ("revision", "where is 3?")]
    assert [text.endswith("without headings or marks.") for text in times] == [False, True, True]
    row = rows_of(folder)[3]
    assert (row.revision, row.steps[0].failure, row.steps[0].failures) == (None, why, (why,) * 3)
    assert row.steps[0].critique == "It is rude."
    told = result_of(folder)
    assert (told["num_left_out"], told[f"num_{why}"], told["num_demonstrations"]) == (1, 3, 19)
    assert told["principles"][row.steps[0].principle]["left_out"] == 1


def test_a_refusal_is_a_revision_and_no_critique(make: Callable[..., ReviseConfig]):
    """ "I can't help with that" may be the right response; a model that says so when asked for a critique gave none."""

    def declines(body: dict[str, Any], number: int) -> Any:
        what, prompt, response, _ = asked(body)
        if what == "critique":
            return said("I can't judge that." if prompt == "where is 5?" else "It helps a thief.")
        return said(f"I can't help with {response}.")

    with serving(declines) as fake:
        rows = rows_of(revise(make(fake)))
    assert [row.id for row in rows if row.revision is None] == ["p5"]
    assert rows[5].steps[0].failure == "refused"
    assert rows[4].revision == f"I can't help with {rows[4].draft}."


def test_a_revision_that_was_cut_off_is_left_out(make: Callable[..., ReviseConfig]):
    """An answer that ran into the limit of its tokens is no revision; a critique may."""

    def cut(body: dict[str, Any], number: int) -> Any:
        status, reply = pleases(body, number)[:2]
        if asked(body)[0] == "critique" or asked(body)[1] == "where is 7?":
            reply["choices"][0]["finish_reason"] = "length"
        return status, reply

    with serving(cut) as fake:
        folder = revise(make(fake))
    assert [row.id for row in rows_of(folder) if row.revision is None] == ["p7"]
    assert result_of(folder)["num_unfinished"] == 3


@pytest.mark.parametrize("label", ["Revised response: ", "Revision:\n\n", "**Revision:** ", "修改后的回答："])
def test_a_label_and_quotes_are_no_part_of_a_revision(make: Callable[..., ReviseConfig], label: str):
    def labels(body: dict[str, Any], number: int) -> Any:
        return said(f'{label}"please {asked(body)[2]}"') if asked(body)[0] == "revision" else said("Rude.")

    with serving(labels) as fake:
        assert all(row.revision == f"please {row.draft}" for row in rows_of(revise(make(fake))))


def test_a_reviser_that_is_down_is_a_sentence(make: Callable[..., ReviseConfig]):
    with (
        serving(lambda body, number: failed(503, "overloaded")) as fake,
        pytest.raises(UserError, match=r"the reviser does not answer: 503 overloaded, after 3 requests\. Start it, or"),
    ):
        revise(make(fake))


def test_a_reviser_that_says_nothing_stops_the_stage_at_its_first_part(make: Callable[..., ReviseConfig]):
    with (
        serving(lambda body, number: said("")) as fake,
        pytest.raises(UserError, match=r"model:m: none of its revisions of 10 drafts can be used \(30 empty\)"),
    ):
        revise(make(fake))
    assert len(fake.bodies) == 30


def test_a_reviser_that_always_says_the_same_stops_the_stage(make: Callable[..., ReviseConfig]):
    with (
        serving(lambda body, number: said("It is fine.")) as fake,
        pytest.raises(UserError, match="it revised 10 drafts into one and the same text, 'It is fine"),
    ):
        revise(make(fake))
    assert len(fake.bodies) <= 20


def test_mostly_the_same_text_is_told(make: Callable[..., ReviseConfig], capsys: pytest.CaptureFixture[str]):
    def mostly(body: dict[str, Any], number: int) -> Any:
        fine = asked(body)[1] in ("where is 1?", "where is 11?")
        return pleases(body, number) if fine else said("It is fine.")

    with serving(mostly) as fake:
        revise(make(fake))
    assert "look at it: 18 of 20 revisions are the same text, 'It is fine.'" in capsys.readouterr().out


def test_a_reviser_that_changes_nothing_gives_no_pairs(
    make: Callable[..., ReviseConfig], capsys: pytest.CaptureFixture[str]
):
    with serving(lambda body, number: said(asked(body)[2])) as fake:
        folder = revise(make(fake))
    told = result_of(folder)
    assert (told["num_unchanged"], told["num_preferences"], told["num_held_out"]) == (20, 0, 0)
    assert {n["changed"] for n in told["principles"].values()} == {0.0}
    assert "the reviser changed 0 of 20 drafts" in capsys.readouterr().out


def test_questions_that_do_not_fit_are_counted_once(make: Callable[..., ReviseConfig]):
    """The drafting model of these tests reads 64 tokens, fewer than a question has: it is not asked again."""
    with pytest.raises(UserError, match=r"model:\w+: none of its revisions of 10 drafts can be used \(10 too_long\)"):
        revise(make(None))


def test_the_drafting_model_revises_itself(
    make: Callable[..., ReviseConfig], wide: str, monkeypatch: pytest.MonkeyPatch
):
    """In memory; stopped after each part in turn, it ends with the bytes of a run in one go. Its answers are noise, and
    are taken here to end by themselves."""
    from prefloop.revise import model_reviser
    from prefloop.run import Run
    from prefloop.sampling.in_process import InProcess
    from prefloop.sampling.protocol import Sampled

    places = []

    class Ends(InProcess):
        def sample(self, prompts: Any, sampling: Any, place: int, *, copies: int = 1) -> list[Sampled]:
            places.append(place)
            drawn = [Sampled(s.tokens, True) for s in super().sample(prompts, sampling, place, copies=copies)]
            return [Sampled((), True), *drawn[1:]] if place % 2 else drawn  # what is empty is asked again

    monkeypatch.setattr(model_reviser, "InProcess", Ends)
    settings: dict[str, Any] = {"model": wide, "rounds": 2, "reviser": ReviserConfig(max_new_tokens=5)}
    whole = revise(make(None, "whole", **settings))
    rows = rows_of(whole)
    assert len({row.revision for row in rows}) > 10
    assert {len(row.steps) for row in rows if row.revision is not None} == {2}
    assert len({*places}) == len(places) > 8  # two parts, two rounds, a critique and a revision each, and some again
    write = Run.write_part

    def stops(self: Run, index: int, value: Any) -> None:
        write(self, index, value)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Run, "write_part", stops)
        for _ in range(4):
            with pytest.raises(KeyboardInterrupt):
                revise(make(None, "again", **settings))
    again = revise(make(None, "again", **settings))
    assert all((whole / name).read_bytes() == (again / name).read_bytes() for name in FILES)


def test_another_folder_revises(make: Callable[..., ReviseConfig], wide: str, monkeypatch: pytest.MonkeyPatch):
    """One model is in memory at a time: first the drafting one for all prompts, then the other."""
    from prefloop.revise import stage

    read = []
    causal = stage.causal

    def noted(path: str, *args: Any, **kwargs: Any) -> Any:
        read.append(path)
        return causal(path, *args, **kwargs)

    monkeypatch.setattr(stage, "causal", noted)
    config = make(None, reviser=ReviserConfig(model=wide, max_new_tokens=200, temperature=0.0, ask_again=0))
    with pytest.raises(UserError, match="none of its revisions"):
        revise(config)  # it writes on to its limit
    assert read == [config.model, wide]


def test_a_function_revises(make: Callable[..., ReviseConfig], tmp_path: Path):
    """It is given prompts, drafts and the names of the principles, part by part."""
    (tmp_path / "mine.py").write_text(
        "def rewrite(prompts, drafts, names):\n"
        "    return [f'{name} {draft} ({prompt})' for prompt, draft, name in zip(prompts, drafts, names)]\n"
    )
    rows = rows_of(revise(make(None, by=f"python:{tmp_path}/mine.py:rewrite")))
    for row in rows:
        assert row.revision == f"{row.steps[0].principle} {row.draft} ({row.messages[0].content})"
        assert row.reviser.startswith("python:mine.py:rewrite ")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return drafts[1:]", "returned 9 texts for 10 drafts"),
        ("return [1 for _ in drafts]", "returned 1; return one text for each draft"),
        ("return 'no'", "returned str, not one text for each response"),
        ("raise KeyError('x')", "`rewrite` failed: KeyError"),
    ],
)
def test_a_wrong_function_is_a_sentence(make: Callable[..., ReviseConfig], tmp_path: Path, body: str, says: str):
    (tmp_path / "mine.py").write_text(f"def rewrite(prompts, drafts, names):\n    {body}\n")
    with pytest.raises(UserError) as refused:
        revise(make(None, by=f"python:{tmp_path}/mine.py:rewrite"))
    assert says in str(refused.value)


def test_simulated_refuses_prompts_that_are_not_the_helpdesks(make: Callable[..., ReviseConfig]):
    with pytest.raises(UserError, match=r"20 of its 20 prompts are not the helpdesk's.* by=simulated knows"):
        revise(make(None, by="simulated"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"by": "somebody"}, "nobody is called that"),
        ({"skill": 0.5}, "skill is the simulated reviser's"),
        ({"by": "simulated", "reviser": ReviserConfig()}, "reviser says which model revises"),
        ({"principles": ()}, "principles names none"),
        ({"principles": "harmles"}, "Did you mean harmless?"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    make: Callable[..., ReviseConfig], settings: dict[str, Any], says: str
):
    with pytest.raises((UserError, ValueError)) as refused:
        revise(make(None, **settings))
    assert says in str(refused.value)


def test_an_endpoint_needs_the_models_name():
    with pytest.raises(ValueError, match="needs the model's name there"):
        ReviserConfig(base_url="http://127.0.0.1:1/v1")


def test_ctrl_c_keeps_what_was_answered(make: Callable[..., ReviseConfig]):
    """A run that is killed in the middle of a part asks on from there."""
    import os
    import signal

    lock = threading.Event()

    def stops(body: dict[str, Any], number: int) -> Any:
        if number == 25 and not lock.is_set():
            lock.set()
            os.kill(os.getpid(), signal.SIGINT)
        return pleases(body, number)

    with serving(stops) as fake:
        with pytest.raises(KeyboardInterrupt):
            revise(make(fake))
        folder = revise(make(fake))
    assert len(fake.bodies) == 40
    assert len(read_records(folder / "preferences.jsonl", Preference)) == result_of(folder)["num_preferences"]


def test_the_helpdesks_reviser_makes_better_demonstrations(
    make: Callable[..., ReviseConfig], wide: str, tmp_path: Path
):
    """Drafts of the mixed staff: by gold, which the stage does not know, revisions are better than drafts."""
    from prefloop.files.tables import write_records
    from prefloop.world.gold import judge
    from prefloop.world.grammar import prompts

    file = tmp_path / "helpdesk.jsonl"
    write_records(file, prompts("train", 60, seed=1))
    settings: dict[str, Any] = {"model": wide, "principles": ("helpful", "harmless", "honest"), "skill": 1.0}
    rows = rows_of(revise(make(None, by="simulated", prompts=str(file), **settings)))
    gains = [
        judge(r.messages[0].content, r.revision or "").utility - judge(r.messages[0].content, r.draft).utility
        for r in rows
    ]
    assert sum(gains) / len(gains) > 0.1
    assert {row.reviser for row in rows} == {"simulated"}


def test_a_principle_that_the_helpdesk_cannot_follow_is_a_sentence(make: Callable[..., ReviseConfig], tmp_path: Path):
    from prefloop.files.tables import write_records
    from prefloop.world.grammar import prompts

    file, mine = tmp_path / "helpdesk.jsonl", tmp_path / "mine.yaml"
    write_records(file, prompts("train", 4, seed=1))
    mine.write_text(mine.read_text(encoding="utf-8").replace("[concise]", "[brevity]"), encoding="utf-8")
    with pytest.raises(UserError, match="the principle 'short' has none of the tags safe, helpful"):
        revise(make(None, by="simulated", prompts=str(file)))


def test_a_draft_that_was_cut_off_and_came_back_is_nothing_to_imitate(
    make: Callable[..., ReviseConfig], monkeypatch: pytest.MonkeyPatch
):
    """A draft that was rewritten is; what came back as it was ends in the middle of a sentence."""
    real = stage._drafts  # pyright: ignore[reportPrivateUsage]

    def cut(*args: Any) -> dict[str, Any]:
        made = real(*args)
        return made | {"finished": [False] * len(made["drafts"])}

    monkeypatch.setattr(stage, "_drafts", cut)

    def half(body: dict[str, Any], number: int) -> Any:
        what, _, draft, _ = asked(body)
        return said(draft) if what == "revision" and len(draft.split()) % 2 else pleases(body, number)

    with serving(half) as fake:
        folder = revise(make(fake))
    rows = rows_of(folder)
    back = {row.id for row in rows if row.revision == row.draft}
    assert 0 < len(back) < 20
    taught = read_demonstrations(folder / "demonstrations.jsonl", say=lambda text: None).records
    assert {d.id for d in taught} == {row.id for row in rows if not row.held_out} - back
    assert result_of(folder)["num_cut_off"] == len(back)


def test_equal_questions_are_sent_once(make: Callable[..., ReviseConfig], write_rows: Callable[..., str]):
    same = [{"id": f"p{i}", "messages": [{"role": "user", "content": "where is it?"}]} for i in range(6)]
    with serving(pleases) as fake:
        folder = revise(make(fake, prompts=write_rows("same.jsonl", same), held_out=0.0))
    assert len({(row.draft, row.steps[0].principle) for row in rows_of(folder)}) == len(fake.bodies) // 2
