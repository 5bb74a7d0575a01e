"""A loaded policy behind a lock: one request at a time, its n responses in one batch."""

import random
import threading
import time
import uuid
from typing import Any

import jinja2

from prefloop.models.network import Network
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled
from prefloop.seeds import seed_of
from prefloop.serve.asked import Asked, Refusal
from prefloop.settings import SamplingConfig


class Engine:
    """What answers."""

    def __init__(self, network: Network, *, name: str, fingerprint: str, max_tokens: int) -> None:
        """Args: fingerprint: of the policy's folder. max_tokens: most in a response, if a request does not say."""
        self.network, self.name, self.fingerprint, self.max_tokens = network, name, fingerprint, max_tokens
        self.started = int(time.time())
        self._turn = threading.Lock()

    def models(self) -> dict[str, Any]:
        """The list of the one model that there is."""
        context = self.network.codec.context
        model = {
            "id": self.name,
            "object": "model",
            "created": self.started,
            "owned_by": "prefloop",
            "max_model_len": context,
        }
        return {"object": "list", "data": [model]}

    def complete(self, asked: Asked) -> dict[str, Any]:
        """Responses to a conversation. Raises: Refusal (400 too long, 404 another model)."""
        if asked.model is not None and asked.model != self.name:
            raise Refusal(
                404,
                "model_not_found",
                f"There is no model called `{asked.model[:120]}` here; there is `{self.name}`.",
                param="model",
            )
        prompt = self._prompt(asked)
        room = self.network.codec.context - len(prompt)
        sampling = SamplingConfig(
            temperature=asked.temperature,
            top_p=asked.top_p,
            max_new_tokens=min(asked.max_tokens or self.max_tokens, room),
        )
        seed = random.SystemRandom().getrandbits(62) if asked.seed is None else asked.seed
        with self._turn:
            place = seed_of(seed, "serve.responses")
            drawn = InProcess(self.network).sample([prompt], sampling, place, copies=asked.n)
        counts = len(prompt), sum(len(sampled.tokens) for sampled in drawn)
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.name,
            "system_fingerprint": self.fingerprint,
            "choices": [self._choice(index, sampled) for index, sampled in enumerate(drawn)],
            "usage": {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": sum(counts)},
        }

    def _prompt(self, asked: Asked) -> list[int]:
        codec = self.network.codec
        try:
            prompt = codec.prompt_ids(asked.messages)
        except jinja2.TemplateError as problem:  # templates refuse what the model was not trained on
            message = f"The model's chat template does not take these messages: {str(problem)[:200]}"
            raise Refusal(400, "template", message, param="messages") from None
        if not prompt:
            raise Refusal(400, "invalid", "The messages make no tokens at all; send some text.", param="messages")
        if len(prompt) >= codec.context:
            message = (
                f"The messages have {len(prompt)} tokens, but the model's context is {codec.context}, response "
                "included. "
                "Send fewer or shorter ones."
            )
            raise Refusal(400, "context_length_exceeded", message, param="messages")
        return prompt

    def _choice(self, index: int, sampled: Sampled) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.network.codec.decode(sampled.tokens)}
        reason = "stop" if sampled.finished else "length"
        return {"index": index, "message": message, "finish_reason": reason, "logprobs": None}
