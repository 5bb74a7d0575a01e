"""What is said of a sign to people, its values filled in. One place for whoever says it."""

from collections.abc import Mapping

from prefloop.drawing.numerals import Kind, written
from prefloop.signs.rules import RULES, Sign, Value
from prefloop.signs.sentences import LANGUAGES, SENTENCES, Both

KINDS: Mapping[str, Kind] = {
    "kl.value": "nats",
    "kl.limit": "nats",
    "entropy.limit": "share",
    "length_drift.limit": "share",
    "length_drift.before": "tokens",
    "length_drift.after": "tokens",
    "chosen_falls.limit": "share",
    "chosen_falls.c0": "nats",
    "chosen_falls.c1": "nats",
    "biased.share": "share",
    "past_peak.value": "nats",
    "past_peak.peak": "nats",
    **dict.fromkeys(
        (
            "nan", "first_ratio", "other_sampling", "policy_kl", "entropy", "grad_spike", "advantage_scale",
            "critic_blind", "value_loss", "negative_kl", "gibberish", "disagreement", "hacking", "memorised",
            "overfit", "chosen_falls", "forgetting", "shallow", "biased",
        ),
        "plain",
    ),
}  # fmt: skip
"""How the values of a rule are written, or one of them, if they are no shares; scores (s0, s1) are plain everywhere."""
FACTORS = ("grad_spike", "advantage_scale", "value_loss")
"""Rules whose threshold is how many times."""


PAID: Mapping[str, Both] = {
    "length": ("the length of the response", "回答的长度"),
    "repetition": ("how often the response repeats itself", "回答重复自己的次数"),
    "copied": ("how much of the response is copied from the prompt", "回答照抄提示的多少"),
    "other_script": ("letters of a script that the prompt has not", "提示里没有的文字"),
    "first_token": ("the token that the response begins with", "回答开头的词元"),
    "word": ("how often one word is said", "某一个词出现的次数"),
}
"""What scores may go with, as it is said."""


def rule_of(name: str, language: str = "en") -> str:
    """What is so where a rule is fine."""
    limit = RULES[name].limit
    shown = "" if limit is None else _written(name, "limit", limit)
    return SENTENCES[name].rule[LANGUAGES.index(language)].format(limit=shown)


def says(sign: Sign, language: str = "en", *, change: bool = True) -> str:
    """What an alarm says: what was found, and what to do. Args: change: False for what was found alone."""
    column, told = LANGUAGES.index(language), SENTENCES[sign.name]
    values = {name: _written(sign.name, name, value, column) for name, value in sign.values.items()}
    found = told.found[column].format(**values)
    return f"{found}{'' if language == 'zh' else ' '}{told.change[column]}" if change else found


def _written(rule: str, name: str, value: Value, column: int = 0) -> str:
    if isinstance(value, str):
        return PAID[value][column] if name == "paid" else value
    if name == "limit" and rule in FACTORS and value is not None:
        return f"{value:g}"
    kind: Kind = "plain" if name in ("s0", "s1") else KINDS.get(f"{rule}.{name}", KINDS.get(rule, "share"))
    return written(value, kind)
