"""A byte-level BPE tokenizer trained on the corpus: any text can be written.

Numbers are cut into pairs of digits from the left, so that a small model can copy one: each pair is one token of a
hundred, whereas single digits repeat within a number and do not tell where one is in it.
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from prefloop.text.templates import SPECIAL_TOKENS


def trained_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """Trains the tokenizer.

    Args:
        texts: documents; the same ones always give the same tokenizer.
        vocab_size: most tokens, special ones and the 256 bytes included.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\d{1,2}"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    pad, end, *_ = SPECIAL_TOKENS
    # pretraining reads every document behind the end of another: a template that begins with bos_token begins with that
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=pad, bos_token=end, eos_token=end)
