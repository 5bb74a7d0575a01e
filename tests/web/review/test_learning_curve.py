"""The dashboard's curve: reward accuracy against the number of labels."""

import random

from prefloop.records import Response
from prefloop.web.exchange import score_files
from prefloop.web.review import learning_curve
from prefloop.web.security import accounts
from prefloop.web.store.site import Site
from prefloop.web.store.tables import judgements, responses
from prefloop.web.work import intake, judging, queue
from web.acts import Clock, ask, comparison, item_of, judged, rows, side, signed_in, submit, user


def take_in(site: Site, number: int) -> None:
    """Comparisons of which the one that says sorry is better."""
    rng, batch = random.Random(1), []
    for i in range(number):
        texts = [f"sorry about {rng.random()}", f"whatever {rng.random()}"]
        rng.shuffle(texts)
        made = tuple(Response(text=text, num_tokens=4, finished=True, sampler="s") for text in texts)
        batch.append(comparison(i).model_copy(update={"id": f"c{i}", "responses": made}))
    ask(site, checks={"repeat_every": 0})
    site.database.write(lambda c: intake.take_in(c, site, batch, actor="test"))


def prefer_sorry(site: Site, limit: int) -> None:
    """Somebody judges, rightly."""
    who = user(site, f"ann{limit}")
    for _ in range(limit):
        (shown,) = queue.lease(site, who, 1).presentations
        texts = rows(site, responses, responses.c.comparison == item_of(site, shown).comparison)
        better = next(row.index for row in texts if row.text.startswith("sorry"))
        submit(site, who, judged(shown, choice=side(site, shown, better), strength=2))


def revise_all(site: Site) -> None:
    """Everybody says again what they said."""
    for row in rows(site, judgements):
        again = judged(row.presentation, **row.answer)
        who = accounts.User(row.user, "x", "annotator")
        site.database.write(lambda c, who=who, old=row.id, again=again: judging.revise(c, site, who, old, again))


def test_the_curve_rises_with_the_labels(site: Site, clock: Clock):
    take_in(site, 120)
    lead = signed_in(site, "lead", "lead")
    assert lead.get("/api/v1/lead/curve").json()["verdict"] == "few"
    prefer_sorry(site, 120)
    clock.now += 61
    answer = lead.get("/api/v1/lead/curve").json()
    assert answer["pairs"] == 120
    assert [row["pairs"] for row in answer["points"]] == [24, 48, 96]
    assert answer["points"][-1]["accuracy"] > 0.95
    assert "number of labels" in lead.get("/lead").text
    assert signed_in(site, "ann", "annotator").get("/api/v1/lead/curve").status_code == 403


def test_a_reward_model_is_tried_on_what_was_judged_after_it_came(site: Site, clock: Clock, tmp_path):
    take_in(site, 100)
    prefer_sorry(site, 40)
    path = tmp_path / "scores.jsonl"  # it always prefers the first response, whatever that says
    path.write_text("".join(f'{{"comparison": "c{i}", "margin": 1.0}}\n' for i in range(100)))
    clock.now += 10
    score_files.from_file(site, path, model="m", actor="lead", skip=False)
    nothing = dict.fromkeys(("accuracy", "low", "high"))
    assert learning_curve.numbers.of(site)["models"] == [{"model": "m", "labels": 40, "since": 0, **nothing}]
    clock.now += 100
    revise_all(site)  # judged anew, but not new: it may have been learned from
    clock.now += 100
    assert learning_curve.numbers.of(site)["models"][0]["since"] == 0
    prefer_sorry(site, 60)
    clock.now += 100
    (answer,) = learning_curve.numbers.of(site)["models"]
    assert answer["since"] == 60
    assert 0.3 < answer["low"] < answer["accuracy"] < answer["high"] < 0.7
