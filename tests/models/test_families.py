"""Every family of models is read exactly, or refused in one sentence; docs/models.md says which, row by row.

Exactly: five sequences packed, decoded against the cache and read in training mode give what transformers alone gives
for each by itself, to 1e-5 of the largest number; a reward model scores as transformers does in a padded batch, after
it was saved and read again. `python benchmarks/families.py` writes the page anew.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from models.families import FAMILIES
from prefloop.errors import UserError
from prefloop.models.cache import Cache, Prompts
from prefloop.models.checkpoint import OTHERS
from prefloop.models.device import Placement
from prefloop.models.load import causal, save, save_model, scalar
from prefloop.models.network import Network
from prefloop.models.optim import Optimizer
from prefloop.models.stream import ResponseStream, Stream
from prefloop.sampling.in_process import InProcess
from prefloop.settings import Adapted, Optimised, SamplingConfig
from prefloop.text.codec import Codec

CPU = Placement(torch.device("cpu"))
PAGE = Path(__file__).parents[2] / "docs" / "models.md"
SEQUENCES = [[5, 9, 7, 30, 22, 11, 40, 41, 42], [8, 12], [33, 9, 9, 21, 6, 17, 28], [19, 44, 26]]
LARGEST = 1e-5
"""Largest difference that is called exact, as a share of the largest number."""


def made(name: str, folder: Path, codec: Codec) -> Path:
    """A folder with a random model of a family and the shared tokenizer."""
    kind, settings = FAMILIES[name]
    special = {"vocab_size": len(codec.tokenizer) + 4, "eos_token_id": codec.stop_ids[0]}  # rows to spare, as is common
    if "text_config" in settings:
        settings = {**settings, "text_config": {**settings["text_config"], **special}}
    config: Any = getattr(transformers, kind)(**settings, **({} if kind in ("ViTConfig", "LlavaConfig") else special))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        writes = type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING and not config.is_encoder_decoder
        model = (AutoModelForCausalLM if writes else transformers.AutoModel).from_config(config)
        for weight in model.parameters():
            if weight.ndim == 1:  # biases too are worth forgetting
                weight.data += 0.1 * torch.randn_like(weight)
    model.save_pretrained(folder)
    codec.tokenizer.save_pretrained(folder)
    return folder


def far(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@torch.no_grad()
def policy_error(folder: Path) -> float:
    """Largest difference of packed, cached and training-mode logits from those of transformers alone."""
    network = causal(str(folder), CPU)
    network.model.train()  # dropout and jitter on,
    network.train()  # which the door takes back
    alone = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    theirs = [alone(input_ids=torch.tensor([s]), use_cache=False).logits[0] for s in SEQUENCES]
    packed = network.logits(network.hidden_states(Stream.of(SEQUENCES, CPU.device)))
    return max(far(packed, torch.cat(theirs)), far(decoded(network), torch.stack([t[-1] for t in theirs])))


def decoded(network: Network) -> Tensor:
    """Logits after the last token of each sequence, read one by one behind all but the last two."""
    before = Prompts.of([s[:-2] or s[:1] for s in SEQUENCES], CPU.device)
    cache = Cache()
    network.hidden_states(before, before)
    cache.admit(before, [1] * len(SEQUENCES), columns=max(before.lengths) + 2)
    positions, last = torch.tensor(before.lengths), torch.empty(0)
    logits: list[Tensor] = []
    for step in range(2):
        tokens = torch.tensor([s[min(len(s) - 1, n + step)] for s, n in zip(SEQUENCES, before.lengths, strict=True)])
        last = network.logits(network.next_hidden_states(tokens, positions + step, cache))
        logits.append(last)
        cache.advance()
    ends = [len(s) - 1 - n for s, n in zip(SEQUENCES, before.lengths, strict=True)]
    return torch.stack([logits[end][row] for row, end in enumerate(ends)])


@torch.no_grad()
def reward_error(folder: Path) -> float:
    """Largest difference of scores from those of transformers, in a padded batch, of a saved and reloaded model."""
    fresh = scalar(str(folder), CPU, fresh_head=True)
    torch.nn.init.normal_(fresh.pretrained.get_submodule("score").weight, generator=torch.Generator().manual_seed(5))
    saved = folder.with_name("reward")
    save_model(saved, fresh.pretrained, fresh.codec)
    plain = AutoModelForSequenceClassification.from_pretrained(saved, attn_implementation="eager").eval()
    batch = fresh.codec.tokenizer.pad({"input_ids": SEQUENCES}, padding_side="right", return_tensors="pt")
    ids = {name: batch[name] for name in ("input_ids", "attention_mask")}
    return far(scalar(str(saved), CPU).scores(SEQUENCES), plain(**ids).logits[:, 0])


def verdict(check: Any, folder: Path) -> str:
    """`exact`, or the sentence of the refusal."""
    try:
        assert check(folder) < LARGEST
    except UserError as refusal:
        said = str(refusal).removeprefix(f"{folder}: ").removesuffix(f" {OTHERS}")
        return said.split("; prefloop needs")[0].rstrip(".")
    return "exact"


def row(name: str, folder: Path, codec: Codec) -> str:
    """What docs/models.md says of a family."""
    made(name, folder / "model", codec)
    return f"| {name} | {verdict(policy_error, folder / 'model')} | {verdict(reward_error, folder / 'model')} |"


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("ignore")  # transformers' own
def test_a_family_is_what_the_page_says(name: str, tmp_path: Path, codec: Codec):
    assert row(name, tmp_path, codec) in PAGE.read_text(encoding="utf-8").splitlines()


TRAINED = (
    *("Llama", "Mistral", "Mixtral", "Qwen2", "Qwen3", "Gemma 2", "Gemma 3 (text)", "Phi-3, Phi-4", "GPT-2"),
    *("GPT-NeoX, Pythia", "OLMo-2"),
)
"""Families whose members are trained, sampled and written too."""


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("how", [{"adapter": "none"}, {"adapter": "lora", "lora": {"rank": 2}, "weights": "int8"}])
@pytest.mark.filterwarnings("ignore")  # transformers' own
def test_a_family_learns_samples_and_is_written(name: str, how: dict[str, Any], tmp_path: Path, codec: Codec):
    """Two updates lower the loss; what is sampled are its likeliest tokens; what is written says the same elsewhere:
    the whole model in transformers alone, the adapter through peft (on the whole base, and not on the rounded)."""
    base = made(name, tmp_path / "model", codec)
    network = causal(str(base), CPU)
    network.train_as(Adapted.model_validate(how), seed=1)
    packed = ResponseStream.of([[5, 9], [8]], [[7, 30], [2, 41, 6]], CPU.device)
    optimizer = Optimizer(network.parameters(), Optimised(lr=1e-2, warmup=0.0), num_updates=4, schedule="constant")
    losses = []
    for _ in range(3):
        loss = -network.logprobs(packed, temperature=1.0).mean()
        loss.backward()
        losses.append(float(loss.detach()))
        optimizer.step()
    assert losses[0] > losses[1] > losses[2]
    (drawn,) = InProcess(network).sample([[5, 9, 7]], SamplingConfig(temperature=0, max_new_tokens=3), 0)
    with torch.no_grad():
        says = network.logits(network.hidden_states(Stream.of([[5, 9, 7, *drawn.tokens]], CPU.device)))
    assert says.argmax(-1)[2 : 2 + len(drawn.tokens)].tolist() == list(drawn.tokens)
    save(tmp_path / "saved", network)
    if how["adapter"] == "none":
        alone = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    else:
        alone = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "saved").eval()
    with torch.no_grad():
        theirs = alone(input_ids=torch.tensor([[5, 9, 7, *drawn.tokens]]), use_cache=False).logits[0]
    assert far(says, theirs) < (LARGEST if how["adapter"] == "none" else 0.1)  # eight bits change some


def test_the_page_lists_these_families_and_no_others():
    table = PAGE.read_text(encoding="utf-8").partition("\n| family |")[2].splitlines()[2:]
    assert [line.split(" | ")[0] for line in table] == [f"| {name}" for name in FAMILIES]
    assert sum(" | exact | " in line for line in table) >= 30
