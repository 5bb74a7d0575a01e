"""Chat templates: how a conversation becomes text, recorded in every model folder and checked by every later stage.

A template is a Jinja chat template as transformers knows it, so a model folder stays a plain Hugging Face folder.
"""

from collections.abc import Sequence

import jinja2
from transformers import PreTrainedTokenizerBase

from prefloop.errors import RowRefused, UserError
from prefloop.records import Message

_TURNS = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
)

BUILT_IN: dict[str, str] = {
    # one special token a turn: short, and the default for models pretrained here
    "turns": _TURNS + "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    # ### Human / ### Assistant, as in many notes and early chat models
    "human-assistant": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n\n"
        "{% elif m.role == 'user' %}### Human: {{ m.content }}\n"
        "{% else %}### Assistant: {{ m.content }}{{ eos_token }}\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}### Assistant: {% endif %}"
    ),
    # 指令 / 输入 / 输出: the first user turn is the instruction, what a system turn holds is the input
    "instruction-zh": (
        "{% for m in messages %}{% if m.role == 'user' %}指令：{{ m.content }}\n"
        "{% elif m.role == 'system' %}输入：{{ m.content }}\n"
        "{% else %}输出：{{ m.content }}{{ eos_token }}\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}输出：{% endif %}"
    ),
    "chatml": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    # no markers at all: the response simply goes on from the prompt, for base models
    "plain": "{{ bos_token or '' }}{% for m in messages %}{{ m.content }}{% endfor %}",
}

SPECIAL_TOKENS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
"""Special tokens of models pretrained here: padding and end-of-text are different tokens on purpose."""


BOS = "{{ bos_token }}"
"""What stands before a built-in template where the model needs a token at the beginning of every text."""


class Refused(RowRefused):
    """A template does not take a conversation, in its own words."""

    def __init__(self, name: str, messages: Sequence[Message], problem: Exception) -> None:
        """Args: name: of the model. messages: the conversation. problem: what the template raised."""
        self.messages = tuple(messages)
        self.unreadable = isinstance(problem, jinja2.TemplateSyntaxError)
        if isinstance(problem, jinja2.TemplateSyntaxError):
            super().__init__(
                f"{name}: its chat template cannot be read, line {problem.lineno}: {problem.message}. Mend it in the "
                "model folder (chat_template.jinja, or `chat_template` in tokenizer_config.json)."
            )
            return
        said = (str(problem).strip() or type(problem).__name__).splitlines()[0][:300].rstrip(".")
        roles = {m.role for m in messages}
        remedy = (
            "Take the system turn out of the row, or put its text at the head of the first user turn."
            if "system" in roles
            else "Change the turns to what it takes, or leave the row out."
        )
        super().__init__(f"{name}: its chat template says: {said}. {remedy}")


def template_text(name: str) -> str:
    """The Jinja text of a built-in template. Raises: UserError naming the built-in ones."""
    if name not in BUILT_IN:
        raise UserError(f"template={name}: there is no such template. There are: {', '.join(BUILT_IN)}.")
    return BUILT_IN[name]


def template_name(text: str) -> str:
    """The name of a template text, or `its own` if it is not built in."""
    bare = text.removeprefix(BOS)
    return next((name for name, built_in in BUILT_IN.items() if built_in == bare), "its own")


def recorded_template(tokenizer: PreTrainedTokenizerBase, where: str) -> str | None:
    """The template that a tokenizer records, of several the one called `default`; None if there is none.

    Raises: UserError if it records several, none of them `default`.
    """
    recorded: object = tokenizer.chat_template
    if isinstance(recorded, dict):
        if len(recorded) > 1 and "default" not in recorded:
            named = ", ".join(f"`{name}`" for name in recorded)
            raise UserError(
                f"{where}: this model folder records several chat templates, {named}, and none called `default`. "
                "Call the one to use `default`."
            )
        recorded = recorded["default"] if "default" in recorded else next(iter(recorded.values()), None)
    return recorded if isinstance(recorded, str) and recorded.strip() else None


def with_template(
    tokenizer: PreTrainedTokenizerBase, template: str | None, where: str, *, needs_bos: bool = False
) -> None:
    """Gives a tokenizer its chat template, or checks that it already has the one asked for.

    Args:
        tokenizer: changed in place.
        template: a built-in template's name, or None to take what the model folder recorded.
        where: the model folder, for the message.
        needs_bos: whether the model reads every text behind a token for its beginning (once, also where the template
            has it itself).

    Raises: UserError if there is no template, or another one than asked for.
    """
    recorded = recorded_template(tokenizer, where)
    if recorded is None and template is None:
        raise UserError(
            f"{where}: this model folder records no chat template. "
            "Say which it was trained with, for instance template=plain."
        )
    if template is None:
        return
    wanted = template_text(template)
    if recorded is not None and recorded.removeprefix(BOS) != wanted:
        raise UserError(
            f"{where}: this model was trained with the template `{template_name(recorded)}`, "
            f"but template={template} is set. Leave template out to use the recorded one."
        )
    if recorded is None:
        tokenizer.chat_template = BOS + wanted if needs_bos and "bos_token" not in wanted else wanted
