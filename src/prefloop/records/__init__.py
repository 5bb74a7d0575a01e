"""The language on disk: what stages hand to each other, and what they leave beside it.

Every record is frozen and strict: a field with the wrong name or type is an error with a sentence, never a guess.
A prompt is a conversation that ends with the user's turn; a response is plain text that continues it.
"""

from prefloop.records.conversations import (
    AnnotatorKind,
    Comparison,
    Conversation,
    Demonstration,
    EmbeddedScore,
    Judgement,
    Message,
    PairChoice,
    Preference,
    Prompt,
    Ranking,
    Record,
    Response,
    Role,
    Sampling,
    Score,
    Side,
    Text,
    Vote,
    opening,
)

__all__ = [
    "AnnotatorKind", "Comparison", "Conversation", "Demonstration", "EmbeddedScore", "Judgement", "Message", "PairChoice",
    "Preference", "Prompt", "Ranking", "Record", "Response", "Role", "Sampling", "Score", "Side", "Text", "Vote", "opening",
]  # fmt: skip
