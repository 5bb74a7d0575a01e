"""Between conversations and token ids: one place, so that training and sampling see the same tokens.

    prompt ids    = tokens of the template's text up to where the assistant speaks
    response ids  = tokens of the response as the template writes it, then the token that ends a turn of the template

The boundary between them is where the loss mask changes, and it is exact because the two are encoded apart. Together
they are the beginning of the whole conversation's tokens: an earlier turn reads as it was learned.

Somebody else's reward model reads a whole conversation as its template writes it, to the last token and nothing added:
`conversations`.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jinja2
from transformers import PreTrainedTokenizerBase

from prefloop.files import fingerprints
from prefloop.records import Message
from prefloop.text.markers import Markers, added_tokens
from prefloop.text.templates import Refused, recorded_template, template_name
from prefloop.text.turns import SAID, TALK, Turn, shared

TEMPLATE_ERRORS = (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
"""What a template that is run may raise."""
BROKEN = "\ufffd"
"""What a tokenizer decodes the first bytes of a character to, before the others have come."""


@dataclass(frozen=True)
class Codec:
    """A tokenizer with its chat template and its end-of-text tokens."""

    tokenizer: PreTrainedTokenizerBase
    """The Hugging Face tokenizer."""
    stop_ids: tuple[int, ...]
    """Tokens that end a response; the first is the one that training appends."""
    context: int
    """Most tokens that the model can read."""

    @cached_property
    def template(self) -> str:
        """The chat template's text."""
        return recorded_template(self.tokenizer, self.name) or ""

    @property
    def template_name(self) -> str:
        """The template's name."""
        return template_name(self.template)

    @property
    def name(self) -> str:
        """Where the tokenizer came from, for messages."""
        return str(self.tokenizer.name_or_path) or "the model"

    @property
    def fingerprint(self) -> str:
        """Fingerprint of template, vocabulary and ends: two models with the same one read the same tokens."""
        return fingerprints.of_value([self.template, self.tokenizer.get_vocab(), list(self.stop_ids)])

    def difference(self, other: "Codec") -> str | None:
        """What tells two codecs of different fingerprints apart, in words; None if nothing does."""
        if self.tokenizer.get_vocab() != other.tokenizer.get_vocab():
            return "vocabulary"
        if self.template != other.template:
            return f"chat template ({self.template_name} here, {other.template_name} there)"
        ends = [" ".join(map(str, c.tokenizer.convert_ids_to_tokens(list(c.stop_ids)))) for c in (self, other)]
        return f"tokens that end a response ({ends[0]} here, {ends[1]} there)" if ends[0] != ends[1] else None

    @cached_property
    def turn(self) -> Turn:
        """How the template writes an assistant's turn; says nothing where it refuses our question."""
        stops = {str(self.tokenizer.convert_ids_to_tokens(i)) for i in self.stop_ids}
        try:
            return Turn.of(self._rendered, added_tokens(self.tokenizer), stops)
        except Refused:
            return Turn()

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """The template's text up to where the assistant speaks. Raises: Refused if it does not take the messages."""
        return self._rendered(messages, True)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of the prompt. Raises: Refused if the template does not take the messages."""
        return self.prompts([messages])[0]

    def response_ids(self, response: str, *, finished: bool = True) -> list[int]:
        """Tokens of a response, with the token that ends it if it is finished."""
        return self.responses([response], finished=finished)[0]

    def prompts(self, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
        """Tokens of many prompts, faster than one by one. Raises: see `prompt_ids`."""
        texts = []
        for messages in conversations:
            typed = any(self._markers.typed(m.content, by=m.role) for m in messages)
            texts.append((self._rendered(messages, True, hide=typed), typed))
        return self._tokens(texts)

    def responses(self, responses: Sequence[str], *, finished: bool = True) -> list[list[int]]:
        """Tokens of many responses, faster than one by one."""
        texts = []
        for response in responses:
            typed = self._markers.typed(response, by="assistant")
            words = self._words(self._markers.hidden(response, by="assistant") if typed else response)
            texts.append((self.turn.lead + words + (self.tail if finished else ""), typed))
        made = self._tokens(texts) if not self._before else [self._behind(self._before, *text) for text in texts]
        return [[*ids, self.stop_ids[0]] for ids in made] if finished else made

    def following(self, messages: Sequence[Message], response: str, answer: str) -> list[int] | None:
        """Tokens from the end of a response to where the assistant speaks next, once the user has answered it.

        Returns: None if the conversation's tokens are not those of the prompt, of the response and of these, one after
            the other: a template may leave out or change what was said before, or take no such turn.
        """
        said = Message.model_construct(role="assistant", content=response)  # a blank one too
        try:
            prompt, whole = self.prompts([messages, [*messages, said, Message(role="user", content=answer)]])
        except Refused:
            return None
        begun = [*prompt, *self.response_ids(response)]
        return whole[len(begun) :] if whole[: len(begun)] == begun else None

    def places(self, ids: Sequence[int], ends: Sequence[int]) -> list[int]:
        """Of numbers of characters of a response's text, each at least 1, the place of the token that writes the last
        of them: the first with which the text is that long, a character being there once its last byte is."""
        last = len([i for i in ids if i not in self.stop_ids]) - 1
        sizes = dict[int, int]()

        def size(num: int) -> int:
            if num not in sizes:
                text = self._decoded(list(ids[:num])).removeprefix(self.turn.lead)
                sizes[num] = len(text.rstrip(BROKEN))
            return sizes[num]

        return [min(bisect.bisect_left(range(1, last + 1), end, key=size), last) for end in ends]

    def conversations(
        self, prompts: Sequence[Sequence[Message]], responses: Sequence[str]
    ) -> list[tuple[list[int], list[int]]]:
        """Tokens of whole conversations, each the prompt and a response, as the template writes them and nothing added:
        those of `apply_chat_template(conversation, tokenize=True)`, but for markers that somebody typed.

        Returns: each in two, where its tokens leave those of the prompt alone. Raises: see `prompt_ids`.
        """
        texts = []
        for messages, response in zip(prompts, responses, strict=True):
            turns = [*messages, Message.model_construct(role="assistant", content=response)]  # a blank one too
            typed = any(self._markers.typed(m.content, by=m.role) for m in turns)
            try:
                texts.append((self._rendered(turns, False, hide=typed), typed))
            except Refused as problem:
                problem.messages = tuple(messages)  # as they stand in a file
                raise
        wholes = self._tokens(texts)
        asked = [len(shared(*both)) for both in zip(self.prompts(prompts), wholes, strict=True)]
        return [(whole[:size], whole[size:]) for size, whole in zip(asked, wholes, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """A response's text, without the token that ends it and without what the template writes around the text."""
        kept = [i for i in ids if i not in self.stop_ids]
        text = self._decoded(kept).removeprefix(self.turn.lead)
        return text.removesuffix(self.tail) if len(kept) < len(ids) else text

    def _decoded(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def settled(self, text: str) -> str:
        """As much of an unfinished response's text as no further token will change: not the first bytes of a character,
        nor what may turn out to be what the template writes around the text."""
        text = text.rstrip(BROKEN)
        if self.turn.lead.startswith(text):
            return ""
        waits = len(self.tail) if self.tail and text.endswith(self.tail) else begun(text, self.tail)
        return text[: len(text) - waits]

    @cached_property
    def _markers(self) -> Markers:
        try:
            written = self._rendered(TALK, True)
        except Refused:
            written = ""
        return Markers(self.tokenizer, written=written, stop_ids=self.stop_ids)

    @property
    def tail(self) -> str:
        """Text that the template writes between a response and the token that ends it; mostly none."""
        ends = self.turn.end is not None and self.tokenizer.convert_tokens_to_ids(self.turn.end) == self.stop_ids[0]
        return self.turn.tail if ends else ""

    def _rendered(self, messages: Sequence[Message], speaks: bool, *, hide: bool = False) -> str:
        """The template's text, `speaks` up to where the assistant speaks; `hide` hides the markers that were typed."""
        turns = [
            {"role": m.role, "content": self._markers.hidden(m.content, by=m.role) if hide else m.content}
            for m in messages
        ]
        try:
            text = self.tokenizer.apply_chat_template(
                turns, chat_template=self.template, tokenize=False, add_generation_prompt=speaks
            )
        except TEMPLATE_ERRORS as problem:
            raise Refused(self.name, tuple(messages), problem) from None
        return str(text)

    def _tokens(self, texts: Sequence[tuple[str, bool]]) -> list[list[int]]:
        """Tokens of texts, each with whether markers that somebody typed are hidden in it."""
        plain = iter(self._markers.encode([text for text, hidden in texts if not hidden]))
        made = []
        for text, hidden in texts:
            ids = [] if hidden else next(plain)
            again = hidden or self._markers.unexpected(ids, text)
            made.append(self._markers.encode_hidden(text) if again else ids)
        return made

    def _words(self, response: str) -> str:
        """A response as the template writes it: many take white space off its ends."""
        if response == response.strip():
            return response
        try:
            frame = self._rendered(TALK, False)
            asked, said, then = TALK
            whole = self._rendered((asked, said.model_copy(update={"content": response}), then), False)
        except Refused:
            return response
        head, _, rest = frame.partition(SAID)
        words = whole[len(head) : len(whole) - len(rest)]
        same = whole == head + words + rest and words.strip() == response.strip()
        return words if same else response

    @cached_property
    def _before(self) -> str:
        """Text to encode before a response, whose tokens are cut off again.

        Nothing is right where a response by itself has the tokens that it has behind its prompt; where a tokenizer
        puts a space before a text's first word, it needs the end of the prompt before it.
        """
        try:
            prompt, whole = self._rendered(TALK[:1], True), self._rendered(TALK, False)
        except Refused:
            return ""
        words = self.turn.lead + SAID + self.tail
        begun, all_of_it, alone = self._markers.encode([prompt, whole, words])
        behind = self._behind(self.turn.before, words, False)
        lawful = [ids for ids in (alone, behind) if all_of_it[: len(begun) + len(ids)] == begun + ids]
        return "" if not lawful or lawful[0] == alone else self.turn.before

    def _behind(self, before: str, text: str, hidden: bool) -> list[int]:
        """Tokens of a text behind another, or by itself where the two share a token."""
        (begun,), ids, alone = self._markers.encode([before]), *self._tokens([(before + text, hidden), (text, hidden)])
        return ids[len(begun) :] if ids[: len(begun)] == begun else alone


def begun(text: str, end: str) -> int:
    """How many of the last characters of a text may be the beginning of `end`, which has not come yet."""
    return next((size for size in range(min(len(end) - 1, len(text)), 0, -1) if text.endswith(end[:size])), 0)
