"""The tokenizer: any text comes back, numbers two digits at a time, special tokens first, the same texts give the same
tokens."""

from prefloop.pretrain.tokenizer import trained_tokenizer
from prefloop.text.templates import SPECIAL_TOKENS

TEXTS = ["order 1234 order 1234 order 1234", "where is order 1234?"] * 3


def test_the_vocabulary():
    tokenizer = trained_tokenizer(TEXTS, vocab_size=280)
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3, 4]
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 1)
    assert len(tokenizer) <= 280
    assert trained_tokenizer(TEXTS, vocab_size=280).get_vocab() == tokenizer.get_vocab()


def test_numbers_are_cut_into_pairs():
    """However often `1234` was seen, no token holds more than two digits; and a number begins its own token."""
    tokenizer = trained_tokenizer(TEXTS, vocab_size=300)
    assert [tokenizer.decode([i]) for i in tokenizer.encode("1234")] == ["12", "34"]
    assert [tokenizer.decode([i]) for i in tokenizer.encode("order 12345")][1:] == [" 12", "34", "5"]
    assert max(sum(c.isdigit() for c in tokenizer.decode([i])) for i in range(len(tokenizer))) == 2


def test_unseen_text_comes_back():
    tokenizer = trained_tokenizer(TEXTS, vocab_size=280)
    for text in ("包裹 🙂\n\t x", "  two  spaces ", "naïve"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
