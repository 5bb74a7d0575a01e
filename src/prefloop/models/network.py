"""The one door to a model: hidden states, logits, logprobs, values and scores, in the precision of its placement.

Shapes: B sequences, N tokens of a stream, M response tokens, R rows of a cache, V vocabulary.

Policy, reference, reward model and critic are all a `Network`. Nobody else calls a trunk or a head: what stands behind
the door (another structure, adapters, shards) may change without any stage knowing.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad
from transformers import PreTrainedModel

from prefloop.defaults import Learner
from prefloop.models.adapters import Base, Role, adapter_kind, fresh
from prefloop.models.attention import Layout, prepare
from prefloop.models.checkpoint import HEAD
from prefloop.models.device import Placement
from prefloop.models.heads import LogitRule
from prefloop.models.machine import heap
from prefloop.models.quantised import (
    QUANTISED,
    answers,
    as_read,
    change,
    frozen_form,
    halve,
    hold,
    is_held,
    known_as_read,
    packed,
    trained_form,
)
from prefloop.models.recompute import Context, recomputed
from prefloop.models.stream import ResponseStream, Shared, Stream, round_size
from prefloop.ops.kl import kl_full
from prefloop.ops.logprobs import logprobs_and_entropy
from prefloop.ops.vocabulary import Entropy, Head, chunks, token_readings, total_surprise
from prefloop.printing import amount
from prefloop.settings import Adapted
from prefloop.text.codec import Codec

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """What a policy says about M response tokens."""

    logprobs: Tensor
    """(M,) nats, at the sampling temperature"""
    entropy: Tensor | None
    """(M,) nats, of the whole distribution; None if it was not asked for"""
    values: Tensor | None
    """(M,) reward units, expected return before the token; None without a critic"""
    states: Tensor | None = None
    """(M, width) last hidden states that the tokens are predicted from; None if they were not asked for"""


class Critic(nn.Module):
    """Expects a return: a head on the policy's trunk, or on a trunk of its own."""

    def __init__(self, width: int, device: torch.device, *, trunk: nn.Module | None, role: Role | None = None) -> None:
        """A critic whose values are 0.

        Args:
            width: of the hidden states.
            device: where it lives.
            trunk: its own, or None for the policy's.
            role: the adapter that the trunk wears for it; None if it wears what it wears for the policy, or nothing.
        """
        super().__init__()
        self.trunk, self.role = trunk, role
        self.head = nn.Linear(width, 1).to(device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def wearing(self) -> contextlib.AbstractContextManager[None]:
        """Context in which its trunk is its own, where others share it."""
        return contextlib.nullcontext() if self.role is None else self.role.wearing()

    @property
    def learned(self) -> list[nn.Parameter]:
        """What of it learns: its head, and the trunk or adapter that is its own."""
        own = [*self.parameters(), *(self.role.tensors.values() if self.role is not None else ())]
        return list({id(weight): weight for weight in own if weight.requires_grad}.values())


class Network(nn.Module):
    """A model with its codec, on its device, in its precision, without dropout."""

    def __init__(
        self, model: nn.Module, codec: Codec, *, path: str, placement: Placement, role: Role | None = None
    ) -> None:
        """A model of transformers behind the door.

        Args:
            model: transformers', or something wrapped around it, on the device.
            codec: its tokenizer.
            path: where it came from.
            placement: where it is, and how precisely it computes.
            role: the base that it shares with others, and its adapter; None if all its weights are its own.

        Raises: UserError if its attention cannot be replaced. Whether all is as transformers has it is for
        `models.verify`, at every load.
        """
        super().__init__()
        self.model, self.codec, self.path = model, codec, path
        self.critic: Critic | None = None
        self.placement, self.role = placement, role
        self.told = True  # False: matrices were held in another form as they were read, and `hold` has not said so yet
        self.recompute = False  # True: layers keep only their inputs where gradients are on
        prepare(self.pretrained)
        self._rule = LogitRule.of(self.pretrained.config)
        self.eval()

    @property
    def pretrained(self) -> PreTrainedModel:
        """transformers' own model, inside whatever is wrapped around it."""
        return next(module for module in self.model.modules() if isinstance(module, PreTrainedModel))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.placement.device

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode: with dropout on, a probability read twice is two numbers, and no ratio is 1."""
        return super().train(False)

    def forward(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Every verb below passes through here, so that what is hooked to the whole (shards to gather) is around it."""
        with self.wearing():
            return verb(*args, **kwargs)

    def wearing(self) -> contextlib.AbstractContextManager[None]:
        """Context in which the trunk is this model's, where others share it."""
        return contextlib.nullcontext() if self.role is None else self.role.wearing()

    def hidden_states(self, stream: Stream, cache: object | None = None) -> Tensor:
        """(N, width) last hidden states of a stream; keys and values go into `cache`, if there is one."""
        return self(self._states, self.pretrained.base_model, stream, cache)

    def next_hidden_states(self, tokens: Tensor, positions: Tensor, cache: Layout) -> Tensor:
        """(R, width) last hidden states of one new token (R,) a row, at its place (R,), against a cache."""
        return self(self._next_states, tokens, positions, cache)

    def logits(self, hidden: Tensor) -> Tensor:
        """(N, V) of hidden states (N, width), in float32: bfloat16 rounds logprobs by several hundredths of a nat."""
        return self(self._logits, hidden)

    def logprobs(self, packed: ResponseStream, *, temperature: float) -> Tensor:
        """(M,) nats, of response tokens at the sampling temperature."""
        return self(self._logprobs, packed, temperature)

    def read(
        self, packed: ResponseStream, *, temperature: float, entropy: Entropy = "value", states: bool = False
    ) -> Reading:
        """Logprobs, entropy and, with a critic, values of every response token.

        Args:
            entropy: "none" leaves it out, "gradient" where something is learned from it.
            states: True if the hidden states are wanted too.
        """
        return self(self._read, packed, temperature, entropy, states)

    def logprobs_and_states(self, packed: ResponseStream) -> tuple[Tensor, Tensor]:
        """(M,) nats of response tokens at temperature 1, and (M, width) the states that they are predicted from, in
        float32."""
        return self(self._logprobs_and_states, packed)

    def total_surprise(self, stream: Stream, index: Tensor, tokens: Tensor) -> Tensor:
        """() nats: -logprob of each of `tokens` (M,) after the place in the stream that `index` (M,) says, summed."""
        return self(self._total_surprise, stream, index, tokens)

    def response_kl(self, reference: Self, packed: ResponseStream) -> Tensor:
        """(M,) nats: KL from the reference's distribution of each response token to this model's, without gradient."""
        return self._response_kl(reference, packed)

    def scores(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """(B,) raw scores, the head on each sequence's last token: what AutoModelForSequenceClassification returns.

        What several sequences begin with is read once. Of a model with several columns it is the first.
        """
        return self.score_table(sequences)[:, 0]

    def score_table(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """(B, C) the same for each of the C columns of its head."""
        shared = Shared.of(sequences, self.device)
        return self(self._table_and_states, shared.stream, shared.last)[0]

    def table_and_last_states(self, sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """(B, C) the same, and (B, width) the last hidden states that they were read from, in float32."""
        shared = Shared.of(sequences, self.device)
        table, hidden = self(self._table_and_states, shared.stream, shared.last)
        return table, hidden.index_select(0, shared.last).float()

    def table_and_states(self, stream: Stream) -> tuple[Tensor, Tensor]:
        """(B, C) the same of a stream, and (N, width) the hidden states that they were read from."""
        return self(self._table_and_states, stream, stream.ends)

    def with_critic(self, begun_from: "Network | None" = None, *, separate: bool = False) -> Self:
        """Adds a critic whose values start at 0.

        Args:
            begun_from: a model whose trunk becomes the critic's; where it shares the policy's base, a copy of its
                adapter.
            separate: True for a copy of the policy's trunk, or of its adapter. With neither the policy's own trunk is
                shared.

        Returns: self
        """
        source = begun_from or self
        width = int(source.pretrained.config.get_text_config().hidden_size)
        apart = begun_from is not None or separate
        if self.role is None or not apart:
            trunk = copy.deepcopy(source.pretrained.base_model) if apart else None
            self.critic = Critic(width, self.device, trunk=trunk)
            return self
        assert source.role is not None  # a critic beside an adapter is one
        own = source.role.base is not self.role.base
        role = source.role if own else source.role.copied(self.pretrained, "critic")
        role.train()
        self.critic = Critic(width, self.device, trunk=source.pretrained.base_model if own else None, role=role)
        return self

    def frozen_copy(self) -> "Network":
        """The reference: what this model says now, without gradients or critic. On a base that is shared it is a copy
        of the adapter, or the base alone; else a copy of the weights in memory (never loaded again from disk)."""
        if self.role is None:
            copied = Network(copy.deepcopy(self.model), self.codec, path=self.path, placement=self.placement)
            return copied.freeze()
        role = Role(self.role.base) if self.role.empty else self.role.copied(self.pretrained, "reference")
        return Network(self.model, self.codec, path=self.path, placement=self.placement, role=role)

    def release(self) -> None:
        """Gives back the memory of its adapter on a base that others share. Nothing can be asked of it after that."""
        if self.role is not None and self.role.adapter is not None:
            self.role.base.drop(self.role.adapter)
            self.role = Role(self.role.base)

    def freeze(self) -> Self:
        """Without gradients, which is what its adapter is anyway until it is trained. Returns: self"""
        return self if self.role is not None else self.requires_grad_(False)

    def hold(self, weights: str, *, dora: bool = False) -> list[str]:
        """Holds the matrices of a trunk that is not trained as the setting says (models/quantised.py).

        Args:
            weights: the setting.
            dora: True if a DoRA adapter is to lie on it, beside those that do.

        Returns: a sentence about what that changes, if it is more than rounding to bfloat16.
        Raises: UserError for DoRA on quantised matrices.
        """
        dora = dora or (
            self.role is not None and any(made.get("use_dora") for made in self.role.base.settings.values())
        )
        form, trunk = frozen_form(weights, self.placement, dora=dora), self.pretrained.base_model
        told, self.told = self.told, True
        if is_held(trunk):  # since it was read, or as the base of others, of which it was told
            if form not in QUANTISED or (told and not self.scores_only):
                return []
            if not known_as_read(trunk):
                unseen = "the base that it shares was held so in memory, so what that changes in its scores is unknown"
                return [f"weights={form}: {unseen}."]
            with as_read(trunk):
                before = self._answers()
            return [f"weights={form} {change(before, self._answers(), scores=self.scores_only)}."]
        before = self._answers() if form in QUANTISED else None
        hold(trunk, form)
        if before is None:
            return []
        if not is_held(trunk):
            return [f"weights={form} holds nothing in fewer bytes here: no layer of this model is a plain matrix."]
        return [f"weights={form} {change(before, self._answers(), scores=self.scores_only)}."]

    @torch.no_grad()
    def _answers(self) -> Tensor:
        """(M,) logprobs of the tokens of a few short answers, or (B,) their scores, in float64."""
        prompts, responses = answers(self.codec)
        if self.scores_only:
            read = self.scores([[*p, *r] for p, r in zip(prompts, responses, strict=True)])
        else:
            read = self.logprobs(ResponseStream.of(prompts, responses, self.device), temperature=1.0)
        return read.cpu().double()

    def train_as(self, settings: Adapted, *, seed: int) -> list[str]:
        """Decides what is trained, as the settings ask, and gives it gradients: all weights, or an adapter and a head.

        Args:
            settings: with `adapter` and `lora`.
            seed: of the run; it decides a new adapter's first weights.

        Returns: sentences about what was chosen, if it is not all weights.
        Raises: UserError for layers that are not there, or another shape than that of the adapter it begins from.
        """
        begun = self.role is not None and self.role.adapter is not None
        num = self.learner.num_weights
        kind = adapter_kind(settings.adapter, num, begun=begun)
        if kind == "none":
            if begun:
                self._merge()
            if trained_form(settings.weights, self.placement) == "bfloat16":
                halve(self.pretrained.base_model)
            merged = f"adapter=none: the adapter in {self.path} is merged into its base, and all weights are trained."
            return [merged] if begun else []
        said = self.hold(settings.weights, dora=settings.lora.dora)
        if self.role is None or self.role.adapter is None:
            base = Base(self.pretrained, self.path) if self.role is None else self.role.base
            self.role = fresh(self.pretrained, base, "policy", settings.lora, seed=seed)
        elif "lora" in settings.model_fields_set:
            self.role.check(settings.lora, self.path)
        self.role.train()
        if self.scores_only:
            self.pretrained.get_submodule(HEAD).requires_grad_(True)
        trained = sum(weight.numel() for weight in self.parameters() if weight.requires_grad)
        made = "the one that it begins with" if begun else "a new one"
        return [
            *said,
            f"trains an adapter, {made} (adapter=lora, rank {self.role.settings['r']}): {amount(trained)} "
            f"numbers beside {amount(num)} that stay.",
        ]

    @property
    def learner(self) -> Learner:
        """What is trained, for settings that are left to prefloop."""
        num = sum(weight.numel() for name, weight in self.pretrained.named_parameters() if ".lora_" not in name)
        return Learner(num + packed(self.pretrained), self.role is not None)

    @property
    def heads(self) -> tuple[nn.Parameter, ...]:
        """What begins at zero: the scalar head, or the critic's."""
        fresh = self.pretrained.get_submodule(HEAD) if self.scores_only else self.critic and self.critic.head
        return tuple(fresh.parameters()) if fresh else ()

    @property
    def scores_only(self) -> bool:
        """True if it has a scalar head in place of one that writes."""
        return HEAD in dict(self.pretrained.named_children())

    def _merge(self) -> None:
        if self.role is not None and self.role.adapter is not None:
            self.role.base.merge(self.pretrained, self.role.adapter)
        self.role = None

    def merged(self) -> Self:
        """The adapter added to the weights, which are this model's own from then on. Returns: self"""
        self._merge()
        return self

    def trained(self) -> dict[str, Any]:
        """What a checkpoint needs of it: all weights; on a base, those of adapters and heads that are trained."""
        if self.role is None:
            return self.state_dict()
        return {name: weight.detach() for name, weight in self.named_parameters() if weight.requires_grad}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `trained` gave. Raises: RuntimeError if it is of another model."""
        self.load_state_dict({**state} if self.role is None else {**self.state_dict(), **state})

    def _states(self, trunk: nn.Module, stream: Stream, cache: object | None = None) -> Tensor:
        heap.close(self.device)
        num = len(stream.tokens)
        added = round_size(num) - num  # tokens of no sequence, which nobody attends to, cut off again below
        again = self.recompute and cache is None and torch.is_grad_enabled()
        with self.placement.precision(), recomputed(trunk, self._as_now()) if again else contextlib.nullcontext():
            out = trunk(
                input_ids=pad(stream.tokens, (0, added))[None],
                position_ids=pad(stream.positions, (0, added))[None],
                past_key_values=cache,
                use_cache=False,
                layout=stream,
            )
        return out.last_hidden_state[0, :num]

    def _as_now(self) -> Context:
        """Makes contexts in which every base wears what it wears now."""
        roles = [role for role in (self.role, self.critic.role if self.critic else None) if role is not None]
        worn = [(role.base, role.base.worn) for role in roles]

        @contextlib.contextmanager
        def again() -> Iterator[None]:
            with contextlib.ExitStack() as stack:
                for base, adapter in worn:
                    stack.enter_context(base.wearing(adapter))
                yield

        return again

    def _next_states(self, tokens: Tensor, positions: Tensor, cache: Layout) -> Tensor:
        with self.placement.precision():
            out = self.pretrained.base_model(
                input_ids=tokens[:, None],
                position_ids=positions[:, None],
                past_key_values=cache,
                use_cache=False,
                layout=cache,
            )
        return out.last_hidden_state[:, 0]

    def _logits(self, hidden: Tensor) -> Tensor:
        head = self.pretrained.get_output_embeddings()
        assert head is not None  # a causal model has one
        return self._rule(self._in_float32(head, hidden))

    def _in_float32(self, head: nn.Module, hidden: Tensor) -> Tensor:
        with self.placement.full_precision():
            dtype = next(head.parameters()).dtype
            if type(head) is nn.Linear and dtype != torch.float32:
                bias = None if head.bias is None else head.bias.float()
                return linear(hidden.float(), head.weight.float(), bias)
            return head(hidden.to(dtype)).float()

    def _head(self) -> Head | None:
        """The output matrix, or None if the head is something else."""
        head = self.pretrained.get_output_embeddings()
        if type(head) is not nn.Linear:
            return None
        return Head(head.weight, head.bias, self._rule.factor, self._rule.cap, self.placement.autocast)

    def _before(self, trunk: nn.Module, packed: ResponseStream) -> Tensor:
        """(M, width) hidden states that response tokens are predicted from."""
        return self._states(trunk, packed.stream).index_select(0, packed.index)

    def _readings(
        self, hidden: Tensor, tokens: Tensor, temperature: float, entropy: Entropy
    ) -> tuple[Tensor, Tensor | None]:
        """(M,) logprobs of tokens, and (M,) entropies."""
        head = self._head()
        with self.placement.full_precision():
            if head is not None:
                return token_readings(hidden, tokens, head, temperature=temperature, entropy=entropy)
            logprobs, entropies = logprobs_and_entropy(self._logits(hidden), tokens, temperature=temperature)
            return logprobs, None if entropy == "none" else entropies

    def _logprobs(self, packed: ResponseStream, temperature: float) -> Tensor:
        hidden = self._before(self.pretrained.base_model, packed)
        return self._readings(hidden, packed.tokens, temperature, "none")[0]

    def _logprobs_and_states(self, packed: ResponseStream) -> tuple[Tensor, Tensor]:
        hidden = self._before(self.pretrained.base_model, packed)
        return self._readings(hidden, packed.tokens, 1.0, "none")[0], hidden.float()

    def _read(self, packed: ResponseStream, temperature: float, entropy: Entropy, states: bool) -> Reading:
        hidden = self._before(self.pretrained.base_model, packed)
        logprobs, entropies = self._readings(hidden, packed.tokens, temperature, entropy)
        kept = hidden if states else None
        if self.critic is None:
            return Reading(logprobs, entropies, None, kept)
        if self.critic.trunk is not None or self.critic.role is not None:
            with self.critic.wearing():
                hidden = self._before(self.critic.trunk or self.pretrained.base_model, packed)
        return Reading(logprobs, entropies, self._in_float32(self.critic.head, hidden)[:, 0], kept)

    def _total_surprise(self, stream: Stream, index: Tensor, tokens: Tensor) -> Tensor:
        hidden = self._states(self.pretrained.base_model, stream).index_select(0, index)
        head = self._head()
        if head is None:
            return -self._readings(hidden, tokens, 1.0, "none")[0].sum()
        with self.placement.full_precision():
            return total_surprise(hidden, tokens, head)

    @torch.no_grad()
    def _response_kl(self, reference: "Network", packed: ResponseStream) -> Tensor:
        ours, theirs = (
            network(network._before, network.pretrained.base_model, packed) for network in (self, reference)
        )
        size = int(self.pretrained.config.get_text_config().vocab_size)
        kl = [
            kl_full(self._logits(ours[part]), reference._logits(theirs[part]), temperature=1.0)
            for part in chunks(len(packed.tokens), size, device=self.device)
        ]
        return torch.cat(kl)

    def _table_and_states(self, stream: Stream, last: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self._states(self.pretrained.base_model, stream)
        head = self.pretrained.get_submodule(HEAD)
        return self._in_float32(head, hidden.index_select(0, last)), hidden
