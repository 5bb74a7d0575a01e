"""Small tokenizers of the kinds that people have, and chat templates written as well-known models write theirs."""

from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from prefloop.text.codec import Codec

TEXTS = [
    "Where is my parcel? It arrives on Monday. No idea. Hello, how are you? I am fine, thanks.",
    "Name a colour.\nBlue is a colour.\n\nuser assistant model system 包裹在哪里 quokka wombat",
] * 10
MARKERS = ("<pad>", "<eos>", "<bos>", "<unk>", "<start>", "<end>", "<user>", "<assistant>", "<think>", "</think>")

LETTERS = list("[]/INST<|>:\nqz")

TEMPLATES = {
    "gemma": "{{ bos_token }}{% for m in messages %}<start>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end>\n{% endfor %}{% if add_generation_prompt %}<start>model\n{% endif %}",
    "chatml": "{% for m in messages %}<start>{{ m.role }}\n{{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<start>assistant\n{% endif %}",
    "llama2": "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content | trim }} [/INST]"
    "{% else %} {{ m.content | trim }} {{ eos_token }}{% endif %}{% endfor %}",
    "zephyr": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "line": "{% for m in messages %}<{{ m.role }}>\n{{ m.content }}\n<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}",
    "glm": "{% for m in messages %}<{{ m.role }}>\n{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}",
    "thinking": "{% for m in messages %}<start>{{ m.role }}\n{% if loop.last and m.role == 'assistant' %}<think>\n\n"
    "</think>\n\n{% endif %}{{ m.content.split('</think>')[-1] }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<start>assistant\n{% endif %}",
    "thought": "{% for m in messages %}<{{ m.role }}>{{ m.content.split('</think>')[-1] }}"
    "{% if m.role == 'assistant' %}<end>{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant><think>\n"
    "{% endif %}",
    "bare": "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}",
}
ENDS = {
    "gemma": "<end>",
    "chatml": "<end>",
    "llama2": "<eos>",
    "zephyr": "<eos>",
    "line": "<end>",
    "glm": "<user>",
    "thinking": "<end>",
    "thought": "<end>",
    "bare": None,
}
"""The token with which each ends a turn; None: none."""


def byte_level() -> tuple[Tokenizer, Any]:
    """As GPT-2, Llama-3, Qwen: any text can be written."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made, trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=list(MARKERS[:4]),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def metaspace(scheme: str = "first") -> tuple[Tokenizer, Any]:
    """As Mistral and Llama-2 now: a space before the first word, and pieces with logprobs that can spell markers."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=True)
    made.decoder = decoders.Metaspace(prepend_scheme=scheme, split=True)
    return made, trainers.UnigramTrainer(
        vocab_size=150, special_tokens=list(MARKERS), unk_token="<unk>", initial_alphabet=LETTERS, show_progress=False
    )


def legacy() -> tuple[Tokenizer, Any]:
    """As Llama-2 in its old files: a space before every piece of text between markers; bytes for unknown letters."""
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return made, trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=[*MARKERS[:4], *(f"<0x{i:02X}>" for i in range(256))],
        initial_alphabet=LETTERS,
        show_progress=False,
    )


KINDS = {"byte level": byte_level, "metaspace": metaspace, "legacy": legacy}


def codec(template: str, kind: str = "byte level", *, stops: Sequence[str] = ("<eos>",), special: bool = True) -> Codec:
    """A codec; the template's own markers are special tokens or only added ones."""
    made, trainer = KINDS[kind]()
    made.train_from_iterator(TEXTS, trainer)
    if kind == "legacy":  # bytes are pieces, not markers
        made = Tokenizer.from_str(made.to_str())
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<eos>", bos_token="<bos>", pad_token="<pad>", unk_token="<unk>"
    )
    tokenizer.add_tokens(
        [AddedToken(m, special=special, normalized=False) for m in MARKERS[4:8]], special_tokens=special
    )
    tokenizer.add_tokens([AddedToken(m, normalized=False) for m in MARKERS[8:]])
    tokenizer.chat_template = TEMPLATES.get(template, template)
    known = [tokenizer.convert_tokens_to_ids(stop) for stop in stops]
    found = Codec(tokenizer, tuple(known), 256).turn.end
    end = [] if found is None else [tokenizer.convert_tokens_to_ids(found)]
    return Codec(tokenizer, tuple(dict.fromkeys([*end, *known])), 256)
