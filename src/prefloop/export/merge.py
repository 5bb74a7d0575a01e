"""Merging: an adapter is added to the weights of its base, and written as a whole model that needs no peft.

Reads: a folder of PEFT, and the base that it names. Writes: a plain Hugging Face folder in float32, with the head, the
padding token and the scale of scores of a reward model. It is compared with what it was made of before it is written.
"""

from pathlib import Path
from typing import Any

import torch

from prefloop import layout
from prefloop.errors import UserError
from prefloop.export.config import MergeConfig
from prefloop.files.atomic import refuse_foreign
from prefloop.models.checkpoint import read_object
from prefloop.models.columns import NORMALISATION
from prefloop.models.device import Placement
from prefloop.models.load import model_folder, reader, save_model
from prefloop.models.network import Network
from prefloop.models.padding import give_padding
from prefloop.models.stream import Stream
from prefloop.scoring.outliers import read_outliers
from prefloop.scoring.pair_classifier import PAIRS

TOLERANCE = 1e-4
"""Largest difference from base and adapter apart, as a share of the largest number."""


def merge(config: MergeConfig) -> str:
    """Writes the merged model. Returns: a sentence on what came of it. Raises: UserError."""
    folder, out = model_folder(config.model), Path(config.out)
    if not layout.is_adapter(Path(folder)):
        raise UserError(f"{config.model}: this is a whole model already; there is no adapter in it to merge.")
    refuse_foreign(out)
    network = reader(folder, Placement(torch.device("cpu")))
    assert network.role is not None  # it is an adapter
    for kept in (folder, network.role.base.path):
        if out.resolve() == Path(kept).resolve():
            raise UserError(f"out={config.out}: this is what the merged model is made of. Give another folder.")
    before = _said(network)
    after = _said(network.merged())
    difference = float((after - before).abs().max() / before.abs().max().clamp_min(1e-30))
    if not difference <= TOLERANCE:
        raise UserError(
            f"{config.model}: merged into its base it says something else (by {difference:.0e} of the largest number), "
            "for its product is so large that float32 rounds the rest away. Use it as it is."
        )
    kept = [name for name in (NORMALISATION, PAIRS, layout.MODEL_CARD) if (Path(folder) / name).is_file()]
    if network.scores_only:
        give_padding(network.pretrained, network.codec)
    beside: dict[str, Any] = {name: read_object(Path(folder) / name) for name in kept}
    if outliers := read_outliers(Path(folder)):
        beside |= outliers.files()
    save_model(out, network.pretrained, network.codec, beside=beside)
    return f"{out}: a whole model; it differs from base and adapter by at most {difference:.0e} of the largest number."


@torch.no_grad()
def _said(network: Network) -> torch.Tensor:
    """Scores, or logits, of a few tokens from all over the vocabulary."""
    size = network.pretrained.get_input_embeddings().get_parameter("weight").shape[0]
    tokens = list(range(0, size, max(1, size // 16)))[: network.codec.context]
    if network.scores_only:
        return network.score_table([tokens[: 1 + i] for i in range(len(tokens))])
    return network.logits(network.hidden_states(Stream.of([tokens], network.device)))
