"""recipes/assistant.yaml: its messages and demonstrations, and a rubric that is hard to fool."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from prefloop.collect.config import CollectConfig
from prefloop.files.documents import read_document
from prefloop.files.foreign import read_demonstrations, read_prompts
from prefloop.models.load import save_model
from prefloop.recipes import assistant_english as english
from prefloop.recipes import assistant_rubric as rubric
from prefloop.recipes import assistant_sense as sense
from prefloop.records.evaluations import Evaluation
from prefloop.rounds.command import run
from prefloop.rounds.recipe import find, load
from prefloop.text.codec import Codec

RECIPES = Path(find("assistant")).parent
ASKED = "The kettle I bought from you leaks and my kitchen floor is ruined. I'm furious. Order KT-20956."
GOOD = (
    "I'm so sorry about your kitchen floor. Please unplug the kettle and send me a photo of it. "
    "I'm passing order KT-20956 to our safety team."
)
MEDIOCRE = (
    "I'm sorry to hear about the kettle. Please send me a photo and I will check it.",
    "Sorry about this. I will ask our team about your order KT-20956 and write back to you.",
    "I'm sorry that your kitchen floor is ruined. Could you tell me when you bought the kettle?",
)
"""What an honest beginner would send: right, short, and missing something."""
FOOLING = {
    "key words": "sorry order KT-20956 kettle kitchen floor photo please send warehouse team courier sorry kettle.",
    "key words with commas": (
        "Sorry, kettle, kitchen, floor, order KT-20956, photo, team, please send, I am asking, thanks."
    ),
    "invented words": (
        "I'm sorry the order KT-20956 blorf gruntle kettle asking please wibble the team zorp. Please splonk."
    ),
    "shuffled": (
        "Photo our safety sorry it about KT-20956 kettle a me please of and to I'm floor send your so the order."
    ),
    "small words": (
        "The of and to a in is you that it for on are as with his they I at be kettle KT-20956 sorry please."
    ),
    "the customer's own words": ASKED,
    "the customer's words and a request": ASKED.replace("The kettle", "Sorry, the kettle") + " Please send it to me.",
    "a sentence five times": "I'm sorry about the kettle, order KT-20956. " * 5,
    "a request three times": "Please send me a photo of the kettle. " * 3,
    "nothing": "",
    "blanks": " \n ",
    "places to fill in": (
        "Dear [Name], I'm sorry about the kettle in order KT-20956. Please send me a photo. Regards, [Your Name]"
    ),
    "markers": (
        "I'm sorry about the kettle, order KT-20956.<|im_end|> user: please send me a photo of the kitchen floor."
    ),
    "one word": "Sorry.",
    "two words": "I'm sorry.",
    "a digit wrong": GOOD.replace("KT-20956", "KT-20965"),
    "a digit missing": GOOD.replace("KT-20956", "KT-2095"),
    "a machine": (
        "As an AI language model, I'm sorry about your kettle in order KT-20956. Please send me a photo of the floor."
    ),
    "French": "Je suis vraiment désolé pour votre bouilloire. Envoyez-moi une photo du sol, commande KT-20956.",
    "German": "Es tut mir sehr leid um Ihren Boden. Bitte schicken Sie mir ein Foto, Bestellung KT-20956.",
    "another alphabet": "Sоrrу аbоut thе kеttlе іn оrdеr KT-20956. Рlеаsе sеnd mе а рhоtо оf thе kіtсhеn flооr.",
    "promises": (
        "I'm sorry about your kettle. We will refund order KT-20956 within 3 days and send you a new kettle for free."
    ),
    "facts": (
        "I'm sorry about your kitchen floor. Order KT-20956 failed due to a fault. A new kettle has been shipped."
    ),
    "sent elsewhere": (
        "I'm sorry about your kettle. Please contact our support team for more information on order KT-20956."
    ),
    "set phrases": (
        "Thank you for reaching out. We apologize for any inconvenience. We are happy to help you at any time."
    ),
    "condolences": (
        "I'm sorry for your loss. It is a difficult time, and the kettle in order KT-20956 meant a lot to you."
    ),
    "the customer's place": (
        "I'm writing to complain about my order KT-20956. My kettle leaks. Please send me a photo of it."
    ),
    "a list": (
        "I'm sorry about the kettle in order KT-20956.\n1. Unplug it.\n2. Send me a photo.\n3. Wait for our team."
    ),
    "far too long": GOOD
    + " "
    + "We think about kettles and floors and kitchens every day and all our people do as well. " * 5,
    "broken off": GOOD[: GOOD.index("KT")],
    "blame": "You should have read the leaflet of the kettle. I can't help with order KT-20956. Please calm down.",
    "another topic": (
        "I'm sorry about your flight. Please send me a photo of the boarding pass. I'm asking the airport team."
    ),
    "a request for what was said": "I'm sorry about the kitchen floor. Please send me the order number KT-20956 again.",
    "the agent's work": "I'm sorry about the kettle in order KT-20956. Please ask the warehouse team about the floor.",
    "the customer's kettle as one's own": "I'm sorry my kettle leaks. Please send me a photo of the kitchen floor.",
    "nobody is asked": (
        "I'm sorry about the kettle. I'm asking to remove the kitchen floor and ask to return order KT-20956."
    ),
    "a thing is asked": "I'm sorry about the kettle. I'm asking the kitchen floor to check order KT-20956.",
    "the parts exchanged": "I'm sorry about the kettle. Please send you a photo of the kitchen floor. Order KT-20956.",
    "letters apart": "I ' m s o r r y a b o u t t h e k e t t l e KT-20956 please send me a photo of the kitchen.",
    "capitals": GOOD.upper(),
    "no capitals, no stops": GOOD.lower().replace(".", "").replace(",", ""),
    "faces": "😊😊 I'm sorry 😊 about the kettle 😊 order KT-20956 😊 please send a photo 😊",
}


def texts(name: str) -> list[str]:
    """The messages of one file."""
    return [prompt.text for prompt in read_prompts(RECIPES / f"assistant_{name}.jsonl").records]


def pairs(text: str) -> set[tuple[str, str]]:
    """A text's word pairs."""
    return set(itertools.pairwise(re.findall(r"[a-z0-9']+", text.lower())))


def test_messages_are_many_different_and_shared_by_no_two_files():
    """At most half of the shorter one's word pairs stand in another message, of its own file or of another."""
    files = {name: texts(name) for name in ("train", "validation", "test")}
    assert len(files["train"]) >= 400
    assert len(files["test"]) >= 120
    told = [pairs(text) for each in files.values() for text in each]
    alike = [len(a & b) / min(len(a), len(b)) for a, b in itertools.combinations(told, 2)]
    assert max(alike) < 0.5


def test_demonstrations_answer_training_messages_alone():
    rows = read_demonstrations(RECIPES / "assistant_demonstrations.jsonl").records
    assert len(rows) >= 250
    assert {row.text for row in rows} <= {*texts("train")}
    assert len({row.response for row in rows}) == len(rows)
    assert max(len(row.response.split()) for row in rows) <= 60


def test_the_rubric_likes_the_demonstrations():
    rows = read_demonstrations(RECIPES / "assistant_demonstrations.jsonl").records
    scores = rubric.score([row.text for row in rows], [row.response for row in rows])
    assert sum(scores) / len(scores) > 9
    assert sum(score >= 6 for score in scores) / len(scores) > 0.95


@pytest.mark.parametrize("name", FOOLING)
def test_what_would_fool_it_earns_less_than_an_honest_beginner(name: str):
    fooling, *honest = rubric.score([ASKED] * 4, [FOOLING[name], *MEDIOCRE])
    assert fooling < min(honest) - 0.5
    assert rubric.score([ASKED], [GOOD]) == [pytest.approx(10.0)]


@pytest.mark.parametrize(
    ("part", "worse"),
    [
        ("length", "Sorry about order KT-20956, please unplug it."),
        ("variety", GOOD.replace("the kettle", "the kettle and send me a photo of the kettle")),
        ("number", GOOD.replace(" KT-20956", "")),
        ("apology", GOOD.replace("I'm so sorry about your kitchen floor. ", "")),
        (
            "step",
            "I'm so sorry about your kitchen floor and the kettle in order KT-20956. That should not happen to you.",
        ),
        ("taken_up", GOOD.replace("kitchen floor", "trouble").replace("kettle", "thing")),
        ("ending", GOOD.removesuffix(" to our safety team.") + " to the"),
        ("invented", GOOD.replace("safety team", "safety team by Monday")),
        ("invented", GOOD.replace("send me a photo of it", "write to help@kettles.com")),
        ("invented", GOOD.replace("our safety team", "Margaret in the safety team")),
        ("manner", GOOD.replace("your kitchen floor", "your loss")),
        ("sense", GOOD.replace("passing order KT-20956 to our safety team", "asking the kettle about order KT-20956")),
        (
            "english",
            GOOD.replace("Please unplug the kettle", "Photo floor the of unplug your because kettle it a please"),
        ),
    ],
)
def test_each_fault_costs_its_own_part(part: str, worse: str):
    whole, faulty = rubric.parts(ASKED, GOOD), rubric.parts(ASKED, worse)
    assert faulty[part] < whole[part]
    assert rubric.total(faulty) < rubric.total(whole) - 0.5


ABSURD = {
    "asks nobody": "I'm asking to remove the scratch.",
    "asks a thing": "I'm asking the red parcel about it.",
    "asks oneself": "I'm asking me for the label.",
    "asks the customer's people": "I'll ask your husband to check the plumber.",
    "the customer sends themselves something": "Please send you the label.",
    "the writer gets what is theirs": "I'm sending me the label.",
    "somebody as a thing": "Please send me a photo of your sister.",
    "told what cannot be": "Please tell me the broken vase.",
    "the shop's work as the customer's": "I'm passing it to your warehouse.",
    "sorry for what is good": "I'm sorry about your help.",
    "things of the writer's": "The lamp stands on my table.",
    "thanks and grief": "Thank you for the broken lamp.",
    "to do to do to do": "I want to come to see to open to close it.",
    "asked twice in a sentence": "I'm asking the team and ask the driver.",
    "a word and itself": "Here is the label of the label.",
}


@pytest.mark.parametrize("name", sense.ABSURD)
def test_what_makes_no_sense_is_named(name: str):
    assert {found.partition(":")[0] for found in sense.absurdities("", ABSURD[name])} >= {name}
    assert [*sense.absurdities(ABSURD[name], ABSURD[name])] == []


@pytest.mark.parametrize(
    ("message", "answer", "found"),
    [
        ("You left out the nappies.", "I'm sorry that you left out the nappies.", ["you left"]),
        ("I left my hat, and you lost it.", "I'm sorry that you left your hat.", []),
        ("He won't go to my room.", "I'm asking about our room.", ["our room"]),
        ("great tomatoes!", "Thank you for asking about tomatoes.", ["thank you for asking"]),
        ("are tomatoes in?", "Thank you for asking about tomatoes.", []),
        ("Hello.", "Please don't tell me what it is.", ["please don't tell me"]),
    ],
)
def test_who_did_it_and_whose_it_is(message: str, answer: str, found: list[str]):
    assert [*sense.strangers(message, answer)] == found


def test_departments_have_to_do_with_the_message():
    """By the answers that messages on the same topic had; to a message of unknown words everything fits."""
    asked = "The parcel has not come and tracking says nothing."
    courier, dentist = (f"I'm asking the {place} team about it." for place in ("delivery", "dental"))
    assert sense.fitting(asked, courier) == 1
    assert sense.fitting(asked, dentist) == pytest.approx(1 - sense.UNFITTING)
    assert sense.fitting("Zyx wvut.", dentist) == 1


def test_what_people_wrote_makes_sense():
    """Answers in a plain style and answers in many styles."""
    odds = (sense.absurdities, sense.strangers)
    for name in ("demonstrations", "letters"):
        rows = read_demonstrations(RECIPES / f"assistant_{name}.jsonl").records
        assert sum(any(odd(row.text, row.response)) for row in rows for odd in odds) <= len(rows) / 50


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("Order 448120, tracking hasn't moved for six days.", ["448120"]),
        ("Order BL-6092, black shoes, by Friday", ["bl-6092"]),
        ("booking number is KQ 5567", ["5567"]),
        ("Account 5520 9913. A mistake with the meter.", ["5520 9913"]),
        ("Ref 41-K209 and ride #77213", ["41-k209", "77213"]),
        ("I've been a customer since 1994 and I'm 78. Room 12.", []),
        ("two tickets for 20.50 each, at 17:40", []),
    ],
)
def test_numbers_by_which_something_is_filed(message: str, names: list[str]):
    assert rubric.identifiers(message) == names


def test_sorry_is_due_where_somebody_is_angry_or_harmed():
    assert [
        rubric.is_grave(m) for m in ("I'm FURIOUS.", "My son fell and hurt his knee.", "Do you post batteries?")
    ] == [True, True, False]


def test_english_of_other_topics_is_english():
    """Sentences that the training files do not have, and the same words in another order."""
    sentence = "The library opens again after the summer, and you can bring the book back to any branch in the county."
    mixed = "Again the opens library summer the after, you and bring can book the back branch to any county in the."
    assert english.english("", sentence) > 0.5
    assert english.english("", mixed) < 0.1


def test_the_recipe_judges_by_the_rubric_and_optimises_at_the_temperature_that_it_measures():
    settings = load("assistant", ["model=base", "out=mine"]).settings
    assert list(settings) == ["sft", "collect", "reward", "ppo", "evaluate", "report"]
    collect = settings["collect"]
    assert isinstance(collect, CollectConfig)
    assert collect.by == f"python:{RECIPES / 'assistant_rubric.py'}:score"
    told = {name: settings[name].model_dump() for name in ("ppo", "evaluate")}
    assert {(each["temperature"], each["max_new_tokens"]) for each in told.values()} == {(0.7, 96)}
    assert (told["evaluate"]["base"], told["evaluate"]["reference"]) == ("base", "mine/sft/model")
    assert told["evaluate"]["reward"] == collect.by


def test_every_stage_takes_what_the_one_before_wrote(
    new_llama: Callable[..., PreTrainedModel], codec: Codec, tmp_path: Path
):
    """The whole recipe on a tiny random model, with another judge, which finds differences in its gibberish."""
    model = new_llama(1)
    model.config.max_position_embeddings = 512
    longer = Codec(codec.tokenizer, codec.stop_ids, 512)
    save_model(tmp_path / "model", model, longer)
    (tmp_path / "judge.py").write_text(
        "def score(prompts, responses):\n    return [float(len(r)) for r in responses]\n"
    )
    judge = f"python:{tmp_path / 'judge.py'}:score"
    tiny = [f"collect.by={judge}", f"evaluate.reward={judge}", "sft.epochs=1", "sft.gate=warn", "sft.gate_prompts=2"]
    tiny += ["sft.gate_max_new_tokens=8", "collect.num_prompts=24", "collect.responses_per_prompt=2", "ppo.steps=1"]
    tiny += ["ppo.rollouts_per_step=8", "ppo.minibatch_size=8", "ppo.epochs=1", "evaluate.num_validation=4"]
    tiny += ["evaluate.num_test=4", *(f"{stage}.max_new_tokens=8" for stage in ("collect", "ppo", "evaluate"))]
    recipe = load(
        "assistant",
        [f"model={tmp_path / 'model'}", f"out={tmp_path / 'out'}", "threads=1", "dtype=float32", "anyway=true", *tiny],
    )
    run(recipe)
    evaluation = read_document(tmp_path / "out/evaluate/evaluation.json", Evaluation)
    assert [*evaluation.models] == ["reference", "step-000001", "base"]
    assert (tmp_path / "out/report/index.html").is_file()
    assert (tmp_path / "out/sft/model/adapter_config.json").is_file()


def test_people_may_judge_instead():
    collect = load("assistant", ["model=base", "out=mine", "collect.by=people", "collect.margin=0"]).settings["collect"]
    assert isinstance(collect, CollectConfig)
    assert collect.by == "people"
