"""What a model folder records of templates and ends, as it is read and as it is written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import (
    GemmaConfig,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PretrainedConfig,
)

from prefloop.errors import UserError
from prefloop.files.places import located
from prefloop.models.load import codec_of, save_model
from prefloop.records import Message
from prefloop.run import Run
from prefloop.settings import RunConfig
from prefloop.text.codec import Codec
from prefloop.text.examples import Examples, FittingPrompts
from prefloop.text.templates import BUILT_IN, Refused
from text.makers import TEMPLATES, codec
from text.test_markers import made

ASKED = (Message(role="user", content="Where is it?"),)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported.') }}{% endif %}"
    "<start>{{ m.role }}\n{{ m.content }}<end>\n{% endfor %}{% if add_generation_prompt %}<start>assistant\n{% endif %}"
)
SMALL = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., str]:
    """Writes a tokenizer with its template, and as much of a model as is read with it."""

    def write(of: Codec, config: type[PretrainedConfig] = LlamaConfig, *, stops: list[int] | None = None) -> str:
        of.tokenizer.save_pretrained(tmp_path / "model")
        config(**SMALL, vocab_size=len(of.tokenizer)).save_pretrained(tmp_path / "model")
        GenerationConfig(eos_token_id=stops).save_pretrained(tmp_path / "model")
        return str(tmp_path / "model")

    return write


@pytest.mark.parametrize("model", [LlamaForCausalLM, LlamaForSequenceClassification])
@pytest.mark.parametrize("template", ["gemma", "glm", "zephyr", "bare"])
def test_a_saved_folder_ends_responses_as_the_model_did(model: type[Any], template: str, tmp_path: Path):
    """Also where only generation_config.json knew that <user> ends a turn; policies and reward models alike."""
    of = codec(template, stops=("<eos>", "<user>"))
    save_model(tmp_path / "saved", model(LlamaConfig(**SMALL, vocab_size=len(of.tokenizer), num_labels=1)), of)
    again = codec_of(str(tmp_path / "saved"))
    assert set(again.stop_ids) == set(of.stop_ids)
    assert again.stop_ids[0] == of.stop_ids[0]
    save_model(tmp_path / "twice", model(LlamaConfig(**SMALL, vocab_size=len(of.tokenizer), num_labels=1)), again)
    assert codec_of(str(tmp_path / "twice")).stop_ids == again.stop_ids


def test_the_end_of_the_template_and_then_the_other_ends(
    folder: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    of = codec("gemma")
    eos, end = of.tokenizer.convert_tokens_to_ids(["<eos>", "<end>"])
    assert codec_of(folder(of, stops=[eos, end, 7])).stop_ids == (end, eos, 7)
    assert capsys.readouterr().err == ""


def test_a_template_without_an_end_says_which_is_taken(folder: Callable[..., str], capsys: pytest.CaptureFixture[str]):
    path = folder(codec("bare"))
    assert codec_of(path).stop_ids == codec_of(path).stop_ids == (1,)
    assert capsys.readouterr().err == (
        f"{path}: its chat template (its own) ends the assistant's turn with no token of its own; responses end with "
        "<eos>.\n"
    )


@pytest.mark.parametrize("template", BUILT_IN)
@pytest.mark.parametrize(
    ("adds", "config", "begins"), [(True, LlamaConfig, 1), (False, GemmaConfig, 1), (False, LlamaConfig, 0)]
)
def test_a_text_begins_as_the_model_needs(
    template: str, adds: bool, config: type[PretrainedConfig], begins: int, folder: Callable[..., str]
):
    """Once where the tokenizer begins texts or the model is a Gemma; the template `plain` begins with what there is."""
    of = codec("chatml")
    of.tokenizer.chat_template = None
    bos = of.tokenizer.bos_token_id
    if adds:
        processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", bos)])
        of.tokenizer.backend_tokenizer.post_processor = processor
    read = codec_of(folder(of, config), template=template)
    ids = read.prompt_ids(ASKED)
    assert ids.count(bos) == (ids[0] == bos) == (begins or template == "plain")
    assert read.template_name == template
    read.tokenizer.save_pretrained(folder(of, config))  # as a stage would: then the template is recorded
    assert codec_of(folder(read, config)).prompt_ids(ASKED) == ids
    assert codec_of(folder(read, config), template=template).prompt_ids(ASKED) == ids


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages %}\n{{ m.content }", r"its chat template cannot be read, line 2: unexpected '}'"),
        ("{{ bos_token }}", r"its chat template leaves out what the user says \(it writes '<bos>'\)"),
        ("{% if false %}{{ messages }}{% endif %}", r"leaves out what the user says \(it writes ''\)"),
        (" ", r"this model folder records no chat template\. Say which"),
    ],
)
def test_templates_of_no_use(template: str, message: str, folder: Callable[..., str]):
    with pytest.raises(UserError, match=message):
        codec_of(folder(codec(template)))


def test_an_empty_special_token_is_none(folder: Callable[..., str]):
    """`unk_token: ""` stood in a real file: it put a space between every two letters of what was learned."""
    path = folder(codec("chatml"))
    file = Path(path) / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"unk_token": "", "bos_token": ""}))
    read = codec_of(path)
    assert (read.tokenizer.unk_token, read.tokenizer.bos_token) == (None, None)
    assert read.decode(read.response_ids("Blue is a colour.")) == "Blue is a colour."
    assert "" not in read.tokenizer.all_special_tokens


def test_of_several_templates_the_default_is_taken(folder: Callable[..., str]):
    of = codec("chatml")
    of.tokenizer.chat_template = {"tool_use": TEMPLATES["zephyr"], "default": TEMPLATES["gemma"]}
    assert codec_of(folder(of)).prompt_text(ASKED) == made("gemma").prompt_text(ASKED)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (NO_SYSTEM, r"System role not supported\. Take the system turn out of the row, or put its text at the head of"),
        ("{{ messages[0].content }}{{ messages[0].name.first }}{{ 1 / 0 }}", r"says: .*Take the system turn"),
        ("{{ messages[0].content }}{{ 1 / 0 }}", r"says: division by zero"),
        ("{{ messages[0].content + 1 }}", r"says: can only concatenate str"),
    ],
)
def test_a_refused_row_is_named(template: str, said: str, write_rows: Callable[..., str]):
    """file:line of the row, and the template's own words."""
    of = codec(template)
    turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    asked, answer = [turns[1]], {"role": "assistant", "content": "hi"}
    rows = [{"messages": [*asked, answer]}, {"messages": [*turns, answer]}]
    file = write_rows("demos.jsonl", rows[1:] if template != NO_SYSTEM else rows)
    place = rf"demos\.jsonl:{2 if template == NO_SYSTEM else 1}: the model: its chat template {said[:0]}.*{said}"
    with pytest.raises(UserError, match=place):
        Examples(of, file, say=print)
    with pytest.raises(UserError, match=place):
        FittingPrompts.of(of, file, room=8, say=print)


def test_a_refusal_is_found_in_files_of_every_kind(write_rows: Callable[..., str], tmp_path: Path):
    turn = {"role": "user", "content": "hello"}
    problem = Refused("it", [Message(**turn)], ValueError("no"))
    pair = {"prompt": [turn], "chosen": [turn | {"role": "assistant"}], "rejected": [turn | {"role": "assistant"}]}
    other = {"prompt": "other", "chosen": "a", "rejected": "b"}
    for name, rows in (
        ("prompts.jsonl", [{"prompt": "other"}, {"prompt": "hello"}]),
        ("pairs.jsonl", [other, pair]),
        ("compared.jsonl", [_comparison("other"), _comparison("hello")]),
    ):
        file = write_rows(name, rows)
        assert str(located(problem, [str(tmp_path), file])).startswith(f"{file}:2: it: its chat template says: no.")
    assert located(problem, [str(tmp_path)]) is problem


def _comparison(text: str) -> dict[str, Any]:
    response = {"text": "a", "num_tokens": 1, "finished": True, "sampler": "it"}
    return {
        "id": text,
        "prompt_id": text,
        "messages": [{"role": "user", "content": text}],
        "responses": [response, response],
        "sampling": {"temperature": 1.0, "max_new_tokens": 8, "seed": 0},
    }


def test_a_run_names_the_row_that_a_reward_model_refuses(write_rows: Callable[..., str], tmp_path: Path):
    """Met in the middle of a run, when the file has long been read; the run's inputs are searched."""
    file = write_rows("prompts.jsonl", [{"prompt": "other"}, {"prompt": "hello"}])
    run = Run(RunConfig(out=str(tmp_path / "out")), inputs={"prompts": file, "reward": None}, stage="ppo")
    with pytest.raises(UserError, match=r"prompts\.jsonl:2: it: its chat template says: no\."), run:
        raise Refused("it", [Message(role="user", content="hello")], ValueError("no"))
