"""Between conversations and token ids: one place, so that training and sampling see the same tokens.

    prompt ids    = tokens of the template's text up to where the assistant speaks
    response ids  = tokens of the response by itself, then the end-of-text token

The boundary between them is where the loss mask changes, and it is exact because the two are encoded apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from transformers import PreTrainedTokenizerBase

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.records import Message
from prefloop.text.templates import template_name, template_text


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
        text = self.tokenizer.chat_template
        if not isinstance(text, str):
            raise UserError("the model folder has several chat templates; keep one named `default`.")
        return text

    @property
    def template_name(self) -> str:
        """The template's name."""
        return template_name(self.template)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of template and vocabulary: two models with the same one read the same tokens."""
        return fingerprints.of_value([self.template, self.tokenizer.get_vocab(), list(self.stop_ids)])

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """The template's text up to where the assistant speaks."""
        turns: list[dict[str, Any]] = [{"role": m.role, "content": self._typed(m.content)} for m in messages]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return str(text)

    def _typed(self, text: str) -> str:
        """Text in which a special token that somebody typed is only text: nobody ends a turn by writing its marker."""
        for token in self.tokenizer.all_special_tokens:
            text = text.replace(token, f"{token[:1]} {token[1:]}")
        return text

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of the prompt."""
        return self.tokenizer.encode(self.prompt_text(messages), add_special_tokens=False)

    def response_ids(self, response: str, *, finished: bool = True) -> list[int]:
        """Tokens of a response, with the end-of-text token if it is finished."""
        ids = self.tokenizer.encode(self._typed(response), add_special_tokens=False)
        return [*ids, self.stop_ids[0]] if finished else ids

    def decode(self, ids: Sequence[int]) -> str:
        """A response's text, without the end-of-text token."""
        kept = [i for i in ids if i not in self.stop_ids]
        return str(self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def with_template(tokenizer: PreTrainedTokenizerBase, template: str | None, where: str) -> None:
    """Gives a tokenizer its chat template, or checks that it already has the one asked for.

    Args:
        tokenizer: changed in place.
        template: a built-in template's name, or None to take what the model folder recorded.
        where: the model folder, for the message.

    Raises: UserError if there is no template, or another one than asked for.
    """
    recorded = tokenizer.chat_template
    if recorded is None and template is None:
        raise UserError(
            f"{where}: this model folder records no chat template. "
            "Say which it was trained with, for instance template=plain."
        )
    if template is None:
        return
    wanted = template_text(template)
    if recorded is not None and recorded != wanted:
        raise UserError(
            f"{where}: this model was trained with the template `{template_name(str(recorded))}`, "
            f"but template={template} is set. Leave template out to use the recorded one."
        )
    tokenizer.chat_template = wanted
