"""Settings of a model that is asked something in words: where it is, how often it is asked, and what that may cost."""

from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from prefloop.config import Config


class AskedConfig(Config):
    """A model at an endpoint or in a folder, and how it is asked."""

    WORD: ClassVar[str] = "model"
    """What it is called in sentences, and the section of settings that it stands in."""

    base_url: str | None = None
    """An endpoint that speaks OpenAI's API, such as http://127.0.0.1:8000/v1 of `prefloop serve`."""

    key_variable: str = Field(default="OPENAI_API_KEY", min_length=1)
    """Environment variable that holds the endpoint's key; if it is not set, none is sent."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    """Divides its logits; 0 takes the likeliest answer."""

    max_new_tokens: int = Field(default=16, ge=1, le=100_000)
    """Most tokens in an answer; a model that thinks before it answers needs more."""

    ask_again: int = Field(default=2, ge=0, le=100)
    """How often it is asked again after an answer that cannot be used; then what was asked about is left out."""

    retries: int = Field(default=5, ge=0, le=100)
    """How often a request is sent again after an error of the server or of the network; then the stage stops."""

    backoff: float = Field(default=1.0, ge=0, le=3600)
    """Seconds before the first of these; each further one waits twice as long, up to a minute."""

    timeout: float = Field(default=60.0, gt=0, le=86_400)
    """Seconds without a sign of an answer after which a request is given up."""

    concurrency: int = Field(default=4, ge=1, le=256)
    """Requests under way at once."""

    max_calls: int | None = Field(default=None, ge=1)
    """Most requests of this run; then the stage stops, and what was answered stays."""

    max_cost: float | None = Field(default=None, gt=0)
    """Most that its answers may cost, in the currency of the prices; requests under way may pass it a little."""

    price_prompt: float = Field(default=0.0, ge=0)
    """Price of a thousand tokens that it reads."""

    price_response: float = Field(default=0.0, ge=0)
    """Price of a thousand tokens that it writes."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.base_url is not None:
            parts = urlsplit(self.base_url)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                raise ValueError(
                    f"base_url = {self.base_url} is no address of a server. Write it with http:// or https://, for "
                    "instance base_url=http://127.0.0.1:8000/v1."
                )
        if self.max_cost is not None and not (self.price_prompt or self.price_response):
            raise ValueError("max_cost needs prices. Give price_prompt and price_response, of a thousand tokens each.")
        return self

    def cost(self, num_prompt: int, num_response: int) -> float:
        """What it costs to read and to write so many tokens."""
        return (num_prompt * self.price_prompt + num_response * self.price_response) / 1000
