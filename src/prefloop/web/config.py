"""Settings of `prefloop web`: those of the project, which leads may change in the page too, and those of the server."""

import ipaddress
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from prefloop.config import Config
from prefloop.errors import UserError
from prefloop.web.names import is_seen

Kind = Literal["pair", "ranking", "rating", "thumb", "edit", "demonstration", "chat"]
LANGUAGES = ("en", "zh")
Word = Annotated[str, Field(min_length=1, max_length=80)]


def words(value: Any) -> Any:
    """The value, unless a word in it was taken for a truth value or a number."""
    for word in value if isinstance(value, list | tuple) else (value,):
        if isinstance(word, bool | int | float):
            typed = str(word).lower()
            kind = "yes or no" if isinstance(word, bool) else "a number"
            says = f'{typed} without quotes is {kind}, and a word is wanted here; write it in quotes: "{typed}"'
            raise ValueError(says)
    return value


class OverlapConfig(Config):
    """How many annotators judge each item."""

    judgements: int = Field(default=1, ge=1, le=50)
    """Judgements that every item gets."""

    adaptive: bool = False
    """One more is wanted if those of an item differ; with judgements=2 this is the usual 2 + 1."""


class ChecksConfig(Config):
    """How the quality of the work is measured while it is done."""

    gold_first: int = Field(default=20, ge=0, le=100)
    """Gold items among the first 100 items of each annotator, as far as there are any."""

    gold_every: int = Field(default=20, ge=0)
    """After the first 100 items, one item of this many is gold; 0 for none."""

    repeat_every: int = Field(default=50, ge=0)
    """One item of this many is shown a second time with its sides swapped, to see whether the annotator agrees with
    themselves; 0 for none."""

    calibration_pass: float = Field(default=0.75, ge=0, le=1)
    """Share of the calibration items that an annotator must get right before they may work."""


class ImportConfig(Config):
    """How large what a lead brings in may be, besides `max_import_mb`."""

    text_letters: int = Field(default=200_000, ge=100, le=100_000_000)
    """Most letters of one text."""

    row_kb: int = Field(default=4_000, ge=1, le=1_000_000)
    """Largest row, in thousands of bytes."""

    unpacked_mb: int = Field(default=1_000, ge=1, le=1_000_000)
    """Most that a file may unpack to, in millions of bytes."""


class ProjectConfig(Config):
    """What is asked of people. A lead may change it in the page; what is typed on the command line is kept."""

    name: str = Field(default="", max_length=200)
    """Name of the project, shown on every page; empty takes the name of DIR."""

    language: Literal["en", "zh"] = "en"
    """Language of the page until an annotator chooses another."""

    kinds: tuple[Kind, ...] = ("pair",)
    """What is asked about each comparison: pair, ranking, rating, thumb, edit, demonstration; several make several
    items."""

    pairs_per_prompt: int = Field(default=1, ge=1)
    """Pairs asked of the K (K - 1) / 2 of each comparison, drawn at random."""

    strength: bool = False
    """Whoever prefers a side of a pair also says how much better it is (slightly, clearly, much): two keys more for
    each answer. Without it a pair is one key, and votes carry no strength."""

    axes: tuple[Word, ...] = Field(default=("helpful",), min_length=1, max_length=12)
    """What responses are rated on, where ratings are asked."""

    overlap: OverlapConfig = OverlapConfig()
    """How many annotators judge each item."""

    checks: ChecksConfig = ChecksConfig()
    """How the quality of the work is measured while it is done."""

    lease_minutes: float = Field(default=30, gt=0, le=7 * 24 * 60)
    """Time that an annotator has for an item before it is offered to others; every kept draft starts it anew."""

    enough: int = Field(default=0, ge=0)
    """Judgements after which judgements.jsonl is written, though not all is done; 0 waits for all.
    Only the folder's own comparisons count, and no edits and demonstrations."""

    @field_validator("name", "language", "kinds", "axes", mode="before")
    @classmethod
    def _are_words(cls, value: Any) -> Any:
        return words(value)

    @field_validator("kinds")
    @classmethod
    def _asks_something(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if not kinds or "chat" in kinds:
            raise ValueError(
                "ask at least one of pair, ranking, rating, thumb, edit, demonstration "
                "(a chat is not made from comparisons)"
            )
        return kinds

    @model_validator(mode="after")
    def _axes_differ(self) -> Self:
        if len(set(self.axes)) != len(self.axes):
            raise ValueError(f"axes names one axis twice: {', '.join(self.axes)}; name each once")
        return self


def check_seen(config: ProjectConfig) -> None:
    """Raises: UserError if people could not read a name or tell two axes apart; what older versions kept may be so."""
    for key, word in (("name", config.name), *(("axes", axis) for axis in config.axes)):
        if not is_seen(word) or word != word.strip():
            raise UserError(f"`{key}`: {word!r} has letters that are not seen, or spaces at its ends; type it anew.")
    alike = [" ".join(axis.casefold().split()) for axis in config.axes]
    if len(set(alike)) != len(alike):
        raise UserError(f"`axes`: two of {', '.join(config.axes)} read alike; name each once.")


class ChatConfig(Config):
    """How the policy under test answers in the page's chat."""

    responses: int = Field(default=2, ge=2, le=8)
    """Responses asked of the model for each message; the first two that differ are shown."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    """Divides the logits; at 0 all responses are the same."""

    max_tokens: int = Field(default=512, ge=1, le=32_000)
    """Most tokens in a response."""

    seconds: float = Field(default=60, gt=0, le=600)
    """Time that the model has for all responses to a message."""


class WebConfig(ProjectConfig):
    """Everything that changes what the page's server does."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets the network in."""

    port: int = Field(default=8765, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""

    database: str = ""
    """Database, for instance postgresql+psycopg://user@host/name; empty takes a file of its own,
    DIR/web/prefloop.sqlite."""

    seed: int = 0
    """Decides which pairs are asked of a comparison."""

    max_body_kb: int = Field(default=1024, ge=16)
    """Largest body of a request, in thousands of bytes."""

    max_import_mb: int = Field(default=512, ge=1)
    """Largest file that can be imported through the page, in millions of bytes."""

    imports: ImportConfig = ImportConfig()
    """How large what a lead brings in may be, besides `max_import_mb`."""

    session_days: float = Field(default=14, gt=0, le=3650)
    """Days that a sign-in lasts; a third of it without any visit ends it too."""

    names: tuple[str, ...] = ()
    """Host names under which the page is reached, if it stands behind another server: page.example.org."""

    proxies: tuple[str, ...] = ()
    """Addresses or networks of the servers that this one stands behind: 127.0.0.1, 10.0.0.0/8. Only they are believed
    when they say (X-Forwarded-For, X-Forwarded-Proto) where a request came from; without it everybody behind them has
    one address, and shares one brake on guessing."""

    https: bool = False
    """True if the page is reached by https (through another server), so that cookies are never sent without; one of
    `proxies` may also say so."""

    model_server: str = ""
    """Server of the policy under test, to chat with in the page: http://127.0.0.1:8001/v1 (see `prefloop serve`); empty
    for none."""

    model: str = Field(default="", max_length=150)
    """Which of that server's models; empty takes its first."""

    model_key_env: str = ""
    """Environment variable that holds the key for that server, if it wants one. The key is never stored or logged."""

    chat: ChatConfig = ChatConfig()
    """How the policy under test answers in the page's chat."""

    password_memory_kb: int = Field(default=65536, ge=8, le=4_000_000)
    """Memory that checking a password takes (argon2id), in thousands of bytes: the more, the harder to guess from a
    stolen database."""

    @field_validator("host", "database", "names", "proxies", "model_server", "model", "model_key_env", mode="before")
    @classmethod
    def _are_texts(cls, value: Any) -> Any:
        return words(value)

    @field_validator("proxies")
    @classmethod
    def _are_addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError(
                    f"{proxy[:80]!r} is neither an address nor a network; write 127.0.0.1 or 10.0.0.0/8, "
                    "not a name and not *"
                ) from None
        return proxies

    @field_validator("model_server")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if "@" in url:
            raise ValueError(
                "put no name and no key into the address; name an environment variable that holds the key: "
                "model_key_env=MODEL_KEY"
            )
        if url and not _is_http(url):
            raise ValueError(
                "give the address of a server as OpenAI's API has it, for instance http://127.0.0.1:8001/v1"
            )
        return url.rstrip("/")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_bare = bool(parts.hostname) and parts.port != 0 and not parts.query and not parts.fragment
        return parts.scheme in ("http", "https") and is_bare
    except ValueError:
        return False
