"""Chat with the policy: every turn is an ordinary judgement, and whatever the model server does, nothing breaks."""

import contextlib
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from prefloop.errors import UserError
from prefloop.records import Comparison, Judgement
from prefloop.web.config import WebConfig
from prefloop.web.errors import Refusal
from prefloop.web.exchange import export
from prefloop.web.store import chain
from prefloop.web.store.site import Site
from prefloop.web.store.tables import (
    comparisons,
    conversations,
    events,
    item_tags,
    items,
    judgements,
    presentations,
    turns,
)
from prefloop.web.work import chat, intake, queue
from prefloop.web.work.partner import MOST_BYTES, Partner
from web.acts import (
    PASSWORD,
    Clock,
    ask,
    check_counts,
    client,
    fill,
    login,
    mark,
    post,
    rows,
    signed_in,
    to_judge,
    user,
)
from web.model_server import NAME, ModelServer

Make = Callable[..., Site]


@pytest.fixture
def model() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


def apart(work: Callable[[], Any]) -> Any:
    """What it returns in a thread of its own, as requests have; a browser test may have left a loop running in ours."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()


@pytest.fixture
def chats(new_site: Make, model: ModelServer) -> Make:
    """Makes sites with that model server."""

    def make(**chat: Any) -> Site:
        return new_site(model_server=model.url, chat={"seconds": 5, **chat})

    return make


def say(speaker: TestClient, text: str, before: dict[str, Any] | None = None, key: str | None = None) -> Any:
    """Says something in a conversation that stands as told before."""
    body = {"text": text} | ({"conversation": before["conversation"], "turns": before["turns"]} if before else {})
    return speaker.post("/api/v1/chat/messages", json=body, headers={"Idempotency-Key": key or str(uuid.uuid4())})


def said(speaker: TestClient, text: str, before: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = say(speaker, text, before)
    assert answer.status_code == 200, answer.text
    return answer.json()


def standing(speaker: TestClient) -> dict[str, Any]:
    answer = speaker.get("/api/v1/chat")
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown_texts(answer: dict[str, Any]) -> list[str]:
    return [response["text"] for response in answer["presentation"]["responses"]]


def words(answer: dict[str, Any]) -> list[str]:
    return [json.dumps(message["tree"]) for message in answer["messages"]]


def test_a_conversation_is_ordinary_comparisons_with_ordinary_pairs(chats: Make, model: ModelServer):
    """Two turns: what the model is asked, what is kept and shown, and that the log and the exports know all of it."""
    site = chats(temperature=0.5, max_tokens=99)
    ann = signed_in(site, "ann", role="annotator")
    first = said(ann, "Hello *there*?")
    assert sorted(shown_texts(first)) == ["Reply a in turn **1**.", "Reply b in turn **1**."]
    assert NAME not in json.dumps(first)
    assert "@f00" not in json.dumps(first)
    asked = {"messages": [{"role": "user", "content": "Hello *there*?"}], "n": 2, "max_tokens": 99}
    assert model.requests[0].items() >= asked.items()
    chosen = shown_texts(first)[1]
    assert post(ann, first["presentation"]["id"], choice="right", strength=2).json()["counted"] is True
    after = standing(ann)
    assert (after["presentation"], after["goes_on"], after["turns"]) == (None, "chosen", 1)
    second = said(ann, "And then?", after)
    spoken = [(message["role"], message["content"]) for message in model.requests[1]["messages"]]
    assert spoken == [("user", "Hello *there*?"), ("assistant", chosen), ("user", "And then?")]
    assert [message["role"] for message in second["presentation"]["messages"]] == ["user", "assistant", "user"]
    post(ann, second["presentation"]["id"], choice="left", strength=1)
    kept = rows(site, comparisons)
    assert [row.tags for row in kept] == [["chat"], ["chat"]]
    assert kept[0].sampling["temperature"] == 0.5
    assert kept[0].sampling["seed"] == model.requests[0]["seed"]
    assert kept[0].trees[0][0][2][1][0] == "em"  # rendered when it came in
    done = [(row.kind, row.purpose, row.wanted, row.done, row.needed) for row in rows(site, items)]
    assert done == [("pair", "chat", 1, 1, 0)] * 2
    assert rows(site, item_tags) == []
    with site.database.reading() as connection:
        chain.verify(connection)
        compared: list[Comparison] = list(export.compared(connection))
        judged: list[Judgement] = list(export.judged(connection, export.EVERYTHING))
    assert [entry.responses[0].sampler for entry in compared] == [f"{NAME}@f00"] * 2
    assert {(entry.comparison, entry.annotator) for entry in judged} == {(entry.id, "ann") for entry in compared}
    logged = [json.loads(row.payload) for row in rows(site, events) if row.kind == "chat"]
    told = [(entry["number"], entry["shown"], entry["samplers"]) for entry in logged]
    assert told == [(number, [0, 1], [f"{NAME}@f00"]) for number in (1, 2)]
    lead = signed_in(site, "boss", role="lead")
    preferences = [json.loads(line) for line in lead.get("/api/v1/export/preferences").text.splitlines()]
    assert {row["chosen"] for row in preferences} >= {chosen}
    assert [len(row["messages"]) for row in sorted(preferences, key=lambda row: row["id"])] == [1, 3]
    assert len(lead.get("/api/v1/export/judgements.jsonl").text.splitlines()) == 2
    assert len(ann.get("/api/v1/history").json()["judgements"]) == 2
    assert NAME not in ann.get("/api/v1/history").text
    check_counts(site)


NEXT = [("left", 0, "chosen"), ("right", 1, "chosen"), ("tie", 0, "tie"), ("both_bad", 0, "both_bad")]


@pytest.mark.parametrize(("choice", "slot", "why"), NEXT)
def test_the_conversation_goes_on_with_what_was_chosen(
    chats: Make, model: ModelServer, choice: str, slot: int, why: str
):
    ann = signed_in(chats())
    first = said(ann, "Hello")
    post(ann, first["presentation"]["id"], choice=choice)
    after = standing(ann)
    assert after["goes_on"] == why
    said(ann, "More", after)
    assert model.requests[1]["messages"][1]["content"] == shown_texts(first)[slot]


def test_a_change_of_mind_counts_until_the_next_message(chats: Make, model: ModelServer):
    ann = signed_in(chats())
    first = said(ann, "Hello")
    shown = first["presentation"]["id"]
    judgement = post(ann, shown, choice="left").json()["judgement"]
    body = {"id": str(uuid.uuid4()), "presentation": shown, "answer": {"choice": "right"}, "active_seconds": 1.0}
    assert ann.post(f"/api/v1/judgements/{judgement}/revise", json=body).status_code == 200
    said(ann, "More", standing(ann))
    assert model.requests[1]["messages"][1]["content"] == shown_texts(first)[1]


def test_what_is_skipped_goes_on_with_the_left_one_and_to_nobody_else(chats: Make, model: ModelServer):
    site = chats()
    ann, bob = signed_in(site, "ann"), signed_in(site, "bob")
    first = said(ann, "Hello")
    place = f"/api/v1/presentations/{first['presentation']['id']}/skip"
    assert ann.post(place, json={"reason": "upsetting"}).status_code == 200
    after = standing(ann)
    assert (after["goes_on"], after["presentation"]) == ("skipped", None)
    for purpose in ("work", "arena", "chat"):
        assert bob.post("/api/v1/leases", json={"count": 3, "purpose": purpose}).json()["presentations"] == []
    said(ann, "More", after)
    assert model.requests[1]["messages"][1]["content"] == shown_texts(first)[0]


def test_responses_that_are_the_same_are_shown_once_and_ask_nothing(chats: Make, model: ModelServer):
    site = chats(responses=3)
    ann = signed_in(site)
    model.replies = lambda messages, count: ["Yes. ", "yes", "YES."][:count]
    answer = said(ann, "Hello")
    assert (answer["presentation"], answer["goes_on"], len(answer["messages"])) == (None, "same", 2)
    assert rows(site, items) == []
    model.replies = lambda messages, count: ["Yes. ", "yes", "No."][:count]
    answer = said(ann, "Sure?", answer)
    assert sorted(shown_texts(answer)) == ["No.", "Yes. "]
    assert rows(site, items)[0].responses == [0, 2]
    assert len(rows(site, turns)) == 2


def test_a_response_that_says_nothing_is_judged_but_the_conversation_goes_on_with_the_other(
    chats: Make, model: ModelServer
):
    ann = signed_in(chats())
    model.replies = lambda messages, count: ["", "Something."]
    first = said(ann, "Hello")
    empty = shown_texts(first).index("")
    post(ann, first["presentation"]["id"], choice=["left", "right"][empty])
    after = standing(ann)
    assert after["goes_on"] == "empty"
    assert "Something." in words(after)[-1]


def test_a_server_that_gives_one_at_a_time_is_asked_again(chats: Make, model: ModelServer):
    site = chats()
    model.replies = lambda messages, count: [f"I was asked for {count}."]
    assert sorted(shown_texts(said(signed_in(site), "Hello"))) == ["I was asked for 1.", "I was asked for 2."]
    assert model.requests[0]["seed"] + 1 == model.requests[1]["seed"]
    with site.database.reading() as connection:
        (kept,) = export.compared(connection)
    assert [row.num_tokens for row in kept.responses] == [7, 7]


def test_a_message_sent_twice_is_one_turn(chats: Make, model: ModelServer):
    site = chats()
    ann = signed_in(site)
    model.seconds = 0.3
    with ThreadPoolExecutor(2) as pool:
        answer = list(pool.map(lambda _: say(ann, "Hello", key="one").json(), range(2)))
    assert answer[0]["presentation"]["id"] == answer[1]["presentation"]["id"]
    assert say(ann, "Hello", key="one").json()["presentation"]["id"] == answer[0]["presentation"]["id"]
    assert answer[0]["key"] == "one"
    assert len(model.requests) == len(rows(site, turns)) == len(rows(site, conversations)) == 1


def test_two_messages_at_once_are_one_turn(chats: Make, model: ModelServer):
    site = chats()
    ann = signed_in(site)
    model.seconds = 0.3
    with ThreadPoolExecutor(4) as pool:
        codes = sorted(pool.map(lambda number: say(ann, f"Hello {number}").status_code, range(4)))
    assert codes == [200, 409, 409, 409]
    assert len(rows(site, turns)) == 1


@pytest.mark.parametrize(("second", "code"), [("one", None), ("two", "chat_moved")])
def test_two_servers_at_one_database_keep_one_turn(chats: Make, second: str, code: str | None):
    """Both asked the model before either kept anything."""
    site = chats()
    ann = user(site, "ann")

    def begun(key: str) -> Any:
        with site.database.reading() as connection:
            result = chat.prepared(connection, ann, "Hello", conversation=None, num_turns=0, key=key)
        assert result is not None
        comparison = chat.compared(result, apart(lambda: Partner(site.config).ask(result.messages)))
        return result, intake.ready(site, [comparison])[0]

    def keep(key: str, prepared: Any, ready: Any) -> None:
        site.database.write(lambda c: chat.keep(c, site, ann, prepared, ready, key=key))

    both = [("one", *begun("one")), (second, *begun(second))]
    keep(*both[0])
    with contextlib.nullcontext() if code is None else pytest.raises(Refusal) as problem:
        keep(*both[1])
    assert code is None or problem.value.code == code
    assert len(rows(site, turns)) == len(rows(site, comparisons)) == len(rows(site, presentations)) == 1


def test_the_conversation_is_in_the_database(chats: Make, clock: Clock):
    """After signing in again, after the lease ran out, and for nobody else."""
    site = chats()
    ann = signed_in(site, "ann", role="annotator")
    first = said(ann, "Hello")
    clock.now += 3600
    queue.expire(site)
    again = client(site)
    login(again, "ann", PASSWORD)
    assert standing(again)["presentation"]["id"] == first["presentation"]["id"]
    shown = again.post("/api/v1/leases", json={"count": 1, "purpose": "chat"}).json()["presentations"]
    assert [row["id"] for row in shown] == [first["presentation"]["id"]] == [standing(again)["presentation"]["id"]]
    bob = signed_in(site, "bob", role="annotator")
    assert standing(bob)["messages"] == []
    assert bob.get(f"/api/v1/presentations/{first['presentation']['id']}").status_code == 404
    clock.now += 3600
    queue.expire(site)
    late = post(again, first["presentation"]["id"]).json()
    assert late["counted"] is True  # too late for the lease, but nobody took its place
    check_counts(site)


def test_it_ends_and_another_begins(chats: Make):
    site = chats()
    ann = signed_in(site)
    first = said(ann, "Hello")
    end = {"conversation": first["conversation"]}
    assert ann.post("/api/v1/chat/end", json=end).json()["error"]["code"] == "not_judged"
    post(ann, first["presentation"]["id"])
    for _ in range(2):
        answer = ann.post("/api/v1/chat/end", json=end).json()
        assert (answer["conversation"], answer["messages"], answer["turns"]) == (None, [], 0)
    assert say(ann, "More", first).json()["error"]["code"] == "chat_moved"
    assert said(ann, "Hello again")["conversation"] != first["conversation"]
    bob = signed_in(site, "bob")
    assert bob.post("/api/v1/chat/end", json=end).status_code == 404


def test_nothing_is_said_before_the_pair_is_judged_or_to_a_conversation_that_moved(chats: Make, model: ModelServer):
    ann = signed_in(chats())
    first = said(ann, "Hello")
    assert say(ann, "More", first).json()["error"]["code"] == "not_judged"
    assert say(ann, "Hello again").json()["error"]["code"] == "chat_moved"
    assert len(model.requests) == 1


def test_who_must_calibrate_or_may_not_judge_chats_does_not_chat(chats: Make):
    site = chats()
    fill(site, 1)
    assert say(signed_in(site, "bob", "annotator", tags=("medicine",)), "Hello").status_code == 403
    ann = signed_in(site, "ann", role="annotator")
    mark(site, "c-0000", "calibration")
    assert say(ann, "Hello").json()["error"]["code"] == "chat_calibration"


def test_without_a_model_server_there_is_no_chat(site: Site):
    fill(site, 1)
    ann = signed_in(site)
    assert say(ann, "Hello").json()["error"]["code"] == "no_chat"
    assert ann.get("/chat", headers={"accept": "text/html"}).status_code == 404
    assert 'href="/chat"' not in ann.get("/").text


# -- the run goes on as before --------------------------------------------------------------------------------------


def test_chat_is_not_what_the_run_waits_for(chats: Make, tmp_path: Any):
    """`enough`, the queue, gold's pace and judgements.jsonl know nothing of it."""
    site = chats()
    fill(site, 2)
    ask(site, enough=2)
    ann = signed_in(site, "ann", role="annotator")
    served = ann.get("/api/v1/me").json()["progress"]["left"]
    for number in range(3):
        before = standing(ann)
        answer = said(ann, f"Hello {number}", before)
        post(ann, answer["presentation"]["id"])
    assert ann.get("/api/v1/me").json()["progress"] == {"today": 3, "left": served}
    with site.database.reading() as connection:
        assert not export.is_over(connection)
    for _ in range(2):
        post(ann, to_judge(ann)[0]["id"])
    with site.database.reading() as connection:
        assert export.is_over(connection)
    path = tmp_path / "judged.jsonl"
    assert export.write_judgements(site, path) == 2
    assert "chat-" not in path.read_text(encoding="utf-8")


def test_a_lead_cannot_point_the_server_elsewhere(chats: Make):
    boss = signed_in(chats(), "boss")
    answer = boss.put("/api/v1/settings", json={"model_server": "http://169.254.169.254/"})
    assert answer.status_code == 422
    assert "model_server" not in boss.get("/api/v1/settings").text


# -- when the model server does not do as it should -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "status", "code"),
    [
        ("503", 503, "model_busy"), ("429", 503, "model_busy"), ("hangs", 504, "model_slow"),
        ("drips", 504, "model_slow"), ("too_long", 422, "chat_too_long"),
        ('{"choices": [{"message": {"content": " "}}]}', 502, "model_silent"),
        *((broken, 502, "model_broken") for broken in (
            "500", "401", "huge", "redirect", "no_models", "{", "null", "[]", "{}", '{"choices": []}',
            '{"choices": [1]}', '{"choices": [{"message": {"content": null}}]}', "[" * 200_000,
        )),
    ],
)  # fmt: skip
def test_whatever_the_server_does_it_is_a_sentence_and_nothing_is_kept(
    new_site: Make, model: ModelServer, caplog: pytest.LogCaptureFixture, broken: str, status: int, code: str
):
    site = new_site(model_server=model.url, chat={"seconds": 2})
    fill(site, 1)
    ann = signed_in(site)
    model.broken = broken
    started = time.monotonic()
    answer = say(ann, "Hello", key="again")
    assert time.monotonic() - started < 30  # the server would have waited for 60
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"].endswith(".")
    assert rows(site, conversations) == []
    assert "secret words" not in answer.text + caplog.text
    assert to_judge(ann)  # all else works
    model.broken, model.let_go = "", threading.Event()
    assert say(ann, "Hello", key="again").status_code == 200


def test_a_server_that_is_not_there(new_site: Make, model: ModelServer):
    site = new_site(model_server="http://127.0.0.1:1/v1")
    answer = say(signed_in(site), "Hello")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "model_down")


def test_nothing_else_waits_while_the_model_hangs(chats: Make, model: ModelServer):
    """No transaction is open meanwhile, and others may judge."""
    site = chats(seconds=60)
    fill(site, 1)
    ann, bob = signed_in(site, "ann"), signed_in(site, "bob")
    model.broken = "hangs"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(say, ann, "Hello")
        while not model.requests:
            time.sleep(0.01)
        post(bob, to_judge(bob)[0]["id"])
        assert not waiting.done()
        model.broken = ""
        model.let_go.set()
        waiting.result()


def test_many_at_once_are_told_to_wait(chats: Make, model: ModelServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("prefloop.web.work.partner.WAITING", 2)
    site = chats()
    people = [signed_in(site, f"p{number}") for number in range(4)]
    shared = Partner(site.config)
    for speaker in people:
        speaker.app.state.partner = shared  # type: ignore[attr-defined]
    model.seconds = 0.5
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda speaker: say(speaker, "Hello"), people))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503]
    assert {say(speaker, "Hello").status_code for speaker in people} <= {200, 409}  # the places are free again


def test_markup_and_broken_letters_are_text(chats: Make, model: ModelServer):
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script> [a](javascript:alert(3)) \0 \ud800 **b**"
    model.replies = lambda messages, count: [hostile, "fine"][:count]
    answer = said(signed_in(chats()), "<b>hello</b>")
    tree = json.dumps(answer["presentation"])
    assert '"script"' not in tree
    assert '"img"' not in tree
    trees = json.dumps([response["tree"] for response in answer["presentation"]["responses"]])
    assert "javascript:" not in trees.replace("](javascript:", "")
    assert "\\u0000" not in tree


def test_the_key_is_sent_and_never_told(
    new_site: Make, model: ModelServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("MODEL_KEY", "sk-very-secret")
    site = new_site(model_server=model.url, model_key_env="MODEL_KEY", model="mine")
    said(signed_in(site), "Hello")
    assert set(model.keys) == {"Bearer sk-very-secret"}
    assert model.requests[0]["model"] == "mine"
    model.broken = "500"
    say(signed_in(site, "bob"), "Hello")
    tables = (events, comparisons, judgements, presentations)
    everything = "".join(str(row) for table in tables for row in rows(site, table))
    assert "sk-very-secret" not in everything + caplog.text


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["model_server=127.0.0.1:8001"], "for instance http://127.0.0.1:8001/v1"),
        (["model_server=ftp://x/v1"], "for instance"), (["model_server=http://x:99999/v1"], "for instance"),
        (["model_server=http://me:key@x/v1"], "model_key_env=MODEL_KEY"),
        (["chat.responses=1"], "greater than or equal to 2"), (["chat.secs=1"], "chat.secs"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_sentences(settings: list[str], says: str):
    with pytest.raises(UserError, match=re.escape(says)) as problem:
        WebConfig.load(None, settings)
    assert says in str(problem.value)
    assert "key@" not in str(problem.value)


def test_a_key_that_is_not_set_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(UserError, match="NO_SUCH_KEY: this environment variable holds no key"):
        Partner(WebConfig(model_server="http://127.0.0.1:1/v1", model_key_env="NO_SUCH_KEY"))


def test_sizes():
    assert MOST_BYTES < 10_000_000
    assert chat.LONGEST < chat.MOST_LETTERS
