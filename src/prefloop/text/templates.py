"""Chat templates: how a conversation becomes text, recorded in every model folder and checked by every later stage.

A template is a Jinja chat template as transformers knows it, so a model folder stays a plain Hugging Face folder.
"""

from prefloop.errors import UserError

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


def template_text(name: str) -> str:
    """The Jinja text of a built-in template. Raises: UserError naming the built-in ones."""
    if name not in BUILT_IN:
        raise UserError(f"template={name}: there is no such template. There are: {', '.join(BUILT_IN)}.")
    return BUILT_IN[name]


def template_name(text: str) -> str:
    """The name of a template text, or `its own` if it is not built in."""
    return next((name for name, built_in in BUILT_IN.items() if built_in == text), "its own")
