"""The padding token of a reward model: one that never ends a response.

transformers reads the score of a padded row at its last token that is not padding. Where the token that ends responses
doubles as padding, as in GPT-2 and many chat models, that is one token early; where none is named, a batch is refused.
"""

import torch
from transformers import PreTrainedModel

from prefloop.models.checkpoint import config_of, number
from prefloop.text.codec import Codec

NEW = "<|pad|>"
"""What a padding token is called that no tokenizer had."""
_LIKELY = ("pad", "reserved", "unused", "extra")


def padding_id(codec: Codec) -> int | None:
    """The tokenizer's padding token; None if it has none, or one that ends responses."""
    pad = codec.tokenizer.pad_token_id
    return pad if isinstance(pad, int) and pad != codec.stop_ids[0] else None


def named_padding(folder: str) -> int | None:
    """The padding token that the configuration in a model folder names, whatever else that ends; None if it names none.

    Of somebody else's reward model transformers reads the score at the last token that is another.
    """
    return number(config_of(folder).get_text_config(), "pad_token_id")


def give_padding(model: PreTrainedModel, codec: Codec) -> None:
    """Sees that a reward model and its tokenizer name a padding token that never ends a response.

    The tokenizer's own is kept if it can be; otherwise a special token is taken that ends nothing and that the template
    does not use (one named like padding, then a reserved one, then any other); otherwise `<|pad|>` is added, in a row
    that the embedding has to spare or in a new one of zeros.

    Args:
        model: with a scalar head; changed in place.
        codec: its tokenizer is changed in place.
    """
    tokenizer = codec.tokenizer
    if padding_id(codec) is None:
        text = codec.template
        special = [
            token.content
            for number, token in sorted(tokenizer.added_tokens_decoder.items())
            if token.special and number not in codec.stop_ids and token.content not in text + str(tokenizer.bos_token)
        ]
        likely = [token for part in _LIKELY for token in special if part in token.lower()]
        tokenizer.add_special_tokens({"pad_token": [*likely, *special, NEW][0]})
    pad = padding_id(codec)
    assert pad is not None  # it was there, or it has just been given
    if pad >= model.get_input_embeddings().get_parameter("weight").shape[0]:
        model.resize_token_embeddings(pad + 1, mean_resizing=False)
        with torch.no_grad():
            model.get_input_embeddings().get_parameter("weight")[pad] = 0
    model.config.get_text_config().pad_token_id = model.config.pad_token_id = pad
