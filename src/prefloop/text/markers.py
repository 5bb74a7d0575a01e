"""What somebody typed is text: letters that spell a marker never become the token with which a template marks turns.

    typed:     a<|im_end|>b   -> the marker's letters as ordinary tokens: reading them gives the very same text
    template:  <|im_end|>     -> the one token

Both stand in one text that is tokenised as a whole, so that all else is tokenised as ever. Where a marker was typed, a
copy of the tokenizer reads it, which knows the markers by names that nobody can type: the template's markers are
renamed, the typed ones are not.
"""

import json
import re
import secrets
import threading
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import Any

from tokenizers import Tokenizer
from transformers import AddedToken, PreTrainedTokenizerBase, PreTrainedTokenizerFast

PRIVATE = range(0xF0000, 0xFFFFE)
"""Characters that no text has: a plane that Unicode leaves to private use."""
ONE_AT_A_TIME = threading.Lock()
"""Batches are tokenised ahead in a thread, and a tokenizer that is at work cannot be changed."""
THOUGHT = ("<think>", "</think>")
"""What a model that thinks writes into its own turn: there it is no marker."""


class Markers:
    """The markers of a tokenizer and its template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, written: str, stop_ids: Sequence[int]) -> None:
        """Args: written: what the template writes around turns. stop_ids: tokens that end a response.

        A marker is every special token, every token that ends a response, and every other added token that the
        template writes, unless it is white space.
        """
        self.tokenizer = tokenizer
        special = {t.content for t in _added(tokenizer).values() if t.special} | set(tokenizer.all_special_tokens)
        self.ids = {
            token.content: i
            for i, token in _added(tokenizer).items()
            if token.content in special or i in stop_ids or token.content in written
        }
        own = set(THOUGHT) - special
        self._never = {i for text, i in self.ids.items() if text != tokenizer.unk_token and text not in own}
        nonce = "".join(chr(secrets.choice(PRIVATE)) for _ in range(4))
        self._names = {text: nonce + chr(PRIVATE[n]) for n, text in enumerate(self.ids)}
        self._texts = {name: text for text, name in self._names.items()}
        self._any, self._not_own = _pattern(self.ids), _pattern(self.ids.keys() - own)

    def typed(self, text: str, *, by: str) -> bool:
        """Whether somebody (a role) typed a marker."""
        return (self._not_own if by == "assistant" else self._any).search(text) is not None

    def hidden(self, text: str, *, by: str) -> str:
        """What somebody typed, with each marker under its secret name: fit to be put into a template."""
        found = self._not_own if by == "assistant" else self._any
        return found.sub(lambda match: self._names[match[0]], text)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of texts in which nobody typed a marker."""
        if not isinstance(self.tokenizer, PreTrainedTokenizerFast):
            return [self.tokenizer.encode(text, add_special_tokens=False) for text in texts]
        backend = self.tokenizer.backend_tokenizer
        with ONE_AT_A_TIME:
            if backend.truncation or backend.padding:
                backend.no_truncation()
                backend.no_padding()
            return [made.ids for made in backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_hidden(self, text: str) -> list[int]:
        """Tokens of a text whose typed markers are hidden: the letters of those, and the token of every other one."""
        swaps = self._names | self._texts
        swapped = _pattern(swaps).sub(lambda match: swaps[match[0]], text)
        if isinstance(self.tokenizer, PreTrainedTokenizerFast):
            return self._renamed.encode(swapped, add_special_tokens=False).ids
        ids: list[int] = []
        for piece in re.split(f"({_pattern(self._texts).pattern})", swapped):
            letters = partial(self.tokenizer.encode, add_special_tokens=False, split_special_tokens=True)
            ids.extend([self.ids[self._texts[piece]]] if piece in self._texts else letters(piece))
        return ids

    def unexpected(self, ids: Sequence[int], text: str) -> bool:
        """Whether tokens hold more or fewer markers than the template wrote into the text: a tokenizer that makes
        letters alike (full-width to narrow) can find a marker where none was typed."""
        return sum(map(self._never.__contains__, ids)) != sum(
            self.ids[found] in self._never for found in self._any.findall(text)
        )

    @cached_property
    def _renamed(self) -> Tokenizer:
        """The same tokenizer, with every marker under its secret name."""
        whole: dict[str, Any] = json.loads(self.tokenizer.backend_tokenizer.to_str())  # pyright: ignore
        whole |= {"truncation": None, "padding": None, "post_processor": None}
        for token in whole["added_tokens"]:
            token["content"] = self._names.get(token["content"], token["content"])
        model = whole["model"]
        if isinstance(model["vocab"], dict):
            model["vocab"] = {self._names.get(piece, piece): i for piece, i in model["vocab"].items()}
        else:  # pieces with their logprobs
            model["vocab"] = [[self._names.get(piece, piece), logprob] for piece, logprob in model["vocab"]]
        if model.get("unk_token") in self._names:
            model["unk_token"] = self._names[model["unk_token"]]
        if "merges" in model:
            pairs = (pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"])
            model["merges"] = [[a, b] for a, b in pairs if not {a, b, a + b} & self._names.keys()]
        return Tokenizer.from_str(json.dumps(whole))


def added_tokens(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Finds every added token in a text, special or not."""
    return _pattern(token.content for token in _added(tokenizer).values())


def _added(tokenizer: PreTrainedTokenizerBase) -> dict[int, AddedToken]:
    """The added tokens that are more than white space (Gemma and NeoX have tokens for runs of it)."""
    return {i: token for i, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}


def _pattern(texts: Iterable[str]) -> re.Pattern[str]:
    """Any of some texts, the longest first; a look at the first letter spares trying thousands of them."""
    longest = sorted(texts, key=len, reverse=True)
    first = "".join(re.escape(letter) for letter in sorted({text[0] for text in longest}))
    return re.compile(f"(?=[{first}])(?:{'|'.join(map(re.escape, longest))})" if longest else "(?!)")
