"""The reward model: a scalar head that learns to score better responses above worse ones.

Reads: a model folder, preferences or rankings (and pairs without a majority). Writes: `model/`, which transformers
loads as a sequence classifier with the same raw scores, and beside it `prefloop_scores.json`: the mean and deviation of
raw scores over SFT demonstrations, so that score = (raw - mean) / deviation. What is learned from is an item: responses
to one prompt and what was said of them (items.py); how it teaches is the objective (objectives.py): Bradley-Terry by
logsigmoid (RM-1, 2), intervals for votes of stated strength and ties (votes.py), rankings as a whole. Initialised from
SFT (RM-7), on a shifted scale (RM-8); tells its accuracy beside the annotators' agreement and a length-only baseline
(RM-17, 18, DIA-1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from prefloop import layout
from prefloop.costs.expect import expect, refuse_too_large
from prefloop.costs.looking import lengths_of
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import unchanged
from prefloop.errors import UserError
from prefloop.feedback.annotators import sentence
from prefloop.feedback.data import FILES, PromptBatches, Split, Told, split
from prefloop.feedback.items import FIRST, Row, Taught, Tokenised, best, first_of, ordered, tables_of, tell, tokenised
from prefloop.feedback.kinds import OBJECTIVES
from prefloop.feedback.objectives import Objective, Votes
from prefloop.feedback.votes import EDGE_LR
from prefloop.files.foreign import first_records
from prefloop.models.batching import Batching, batched
from prefloop.models.columns import AS_IT_IS, Columns
from prefloop.models.device import placement
from prefloop.models.load import model_folder, save, scalar
from prefloop.models.network import Network
from prefloop.models.optim import Group, Optimizer, heads_apart
from prefloop.models.sums import Sums
from prefloop.ops.rewards import normalised_scores
from prefloop.records import Demonstration, Preference
from prefloop.records.cards import Card
from prefloop.reward.carded import Pairs, Trained, card_of, shown
from prefloop.reward.config import RewardConfig
from prefloop.reward.curve import learning_curve, moments, seen, train_shares
from prefloop.reward.ensemble import train_members
from prefloop.reward.heads import Heads, heads_of
from prefloop.reward.needs import NUM_DEMONSTRATIONS, READ_AGAIN, needs
from prefloop.reward.readings import Readings
from prefloop.run import Run
from prefloop.scoring.outliers import KNOWN, Outliers
from prefloop.scoring.pair_classifier import PAIRS, READS
from prefloop.scoring.reward_model import NORMALISATION
from prefloop.text.ahead import ahead
from prefloop.text.batches import cut
from prefloop.text.examples import fitted

Say = Callable[[str], None]


def train(config: RewardConfig) -> Path:
    """Runs (or continues) reward modelling. Returns: the model folder, or that of an ensemble."""
    inputs = {k: config.model_dump()[k] for k in (*FILES, "demonstrations")}
    with Run(config, inputs=inputs | {"model": model_folder(config.model)}) as run:
        if run.finished:
            return run.folder / layout.MODEL
        if config.members > 1:
            train_members(config, run, train)
            return run.folder / layout.MODEL
        if config.curve:
            train_shares(config, run, train)
        config, network, heads, objective, sizes, data = _begun(config, run)
        batches, taught, judged = PromptBatches(data.training, config), Taught(), data.validated.items
        count = data.training.num_responses // 2 + len(judged)
        data.training.forget()
        both = [(0, len(ids)) for item in (*data.first.items, *judged) for ids in item.sequences]
        expect(run, config, needs(sizes.settle(config), lengths_of(both, count, network.codec.context)))
        apart = heads_apart(network.heads, lr=config.lr, head_lr=config.head_lr)
        apart += [Group(tuple(objective.parameters()), EDGE_LR)]
        optimizer = Optimizer(network.parameters(), config, num_updates=len(batches), apart=apart)
        saved = run.restore()
        if saved:
            network.restore(saved["network"])
            objective.load_state_dict(saved["objective"])
            optimizer.restore(saved["optimizer"])
            taught = Taught.of(saved["taught"])
        looked: torch.Tensor | None = None
        run.progress.start(len(batches), optimizer.done)
        for read in ahead(batches, lambda batch: data.learn(data.training.take(batch)), start=optimizer.done):
            batch = heads.spoken(read, ties=objective.TIES)
            told_of = [item for voices in batch for item in voices]
            if optimizer.done < batches.first_pass:
                taught.see(read)
                objective.count(told_of, taught.said)
            if not batch:
                optimizer.pass_over(1)
                continue
            sums = Sums()
            weight, told = heads.weight(told_of), sum(bool(item.pairs) for item in told_of)
            weight_of_all = sum(item.weight for item in told_of)
            for part in cut(range(len(batch)), [voices[0].length for voices in batch], limit=sizes.micro_tokens):
                few = [item for i in part for item in batch[i]]
                losses, scores = heads.losses(network, objective, few)
                losses = losses * torch.tensor([item.weight for item in few], device=network.device)
                (losses.sum() / weight).backward()
                sums.add("loss/train", losses / weight_of_all)
                if told:
                    sums.add("accuracy/train", ordered(scores, few) / told)
            lr, norm, looked = optimizer.lr, optimizer.step(), None
            metrics = {**sums.fetched(), "grad/norm": norm, "lr": lr}
            in_curve = optimizer.done in moments(batches.first_pass)
            if in_curve or optimizer.done % max(1, len(batches) // 4) == 0 or optimizer.done == len(batches):
                looked = tables_of(judged, network, sizes)
                metrics |= validation(looked, data.validated, heads, objective)
                if in_curve:
                    taught.curve += seen(taught.num, heads.main(looked, judged), data.validated)
            run.log(optimizer.done, metrics)
            run.progress.advance(1, **{key.removesuffix("/train"): x for key, x in metrics.items() if "/train" in key})
            state = lambda: {  # noqa: E731
                "network": network.trained(),
                "objective": objective.state_dict(),
                "optimizer": optimizer.state(),
                "taught": taught.state(),
            }
            run.checkpoint(optimizer.done, state, every=config.checkpoint_every)
        if looked is None:
            looked = tables_of(judged, network, sizes)
        _finish(config, network, heads, objective, data, taught, sizes, looked, run)
    return run.folder / layout.MODEL


def _begun(config: RewardConfig, run: Run) -> "tuple[RewardConfig, Network, Heads, Objective, Batching, _Data]":
    """All that learning needs, read and checked, and settings of which none is left open. Raises: UserError."""
    refuse_too_large(config, needs(config, Lengths()))
    place = placement(config.device, config.dtype)
    weights = unchanged(config, config.model, scores=True)
    said = split(config, run.say, kept=run.folder / layout.ROWS)
    heads = heads_of(config, said.training, run.say, said.levels)
    load = partial(scalar, config.model, place, fresh_head=True, template=config.template, weights=weights)
    network = load(columns=heads.labels)
    run.caution(network.train_as(config, seed=config.seed))
    config = run.settled(config, network.learner)
    sizes = batched(network, config, run)
    heads.begin(network)
    data = _data(config, said, heads, network, run)
    objective = heads.objective(partial(OBJECTIVES[said.objective], config), said.levels)
    objective.meet(data.training)
    objective.begin([item for voices in heads.spoken(data.first) for item in voices])
    objective.to(network.device)
    tell_strangers(config, said, heads, objective, run.say)
    return config, network, heads, objective, sizes, data


def tell_strangers(config: RewardConfig, said: Split, heads: Heads, objective: Objective, say: Say) -> None:
    """Says of whom or what held-out rows speak that nothing was learned of by itself, and what becomes of them."""
    rows = [*said.validation, *said.undecided]
    strange, what = heads.strangers(rows), f"{heads.kind} without a column"
    fate = f"they count for {'nothing' if heads.kind == 'axes' else heads.names[0]}"
    if isinstance(objective, Votes) and objective.annotators is not None:
        strange = objective.annotators.strangers(row for row in rows if isinstance(row, Preference))
        what, fate = "annotators of whom nothing was learned", "they are taken to judge like the middle of the others"
    if strange:
        named = ", ".join(f"{name} {num}" for name, num in strange.most_common(5)) + ", ..." * (len(strange) > 5)
        say(
            f"{config.held_out or f'{config.preferences} (held out)'}: {strange.total()} times it speaks of "
            f"{len(strange)} {what} ({named}): {fate}."
        )


@dataclass(frozen=True)
class _Data:
    split: Split
    learn: Callable[[Sequence[Row]], Tokenised]
    """training rows in tokens, with what was said of them"""
    first: Tokenised
    """the first ones"""
    validated: Tokenised
    undecided: Tokenised
    scale: list[list[int]]
    """responses by whose scores the others are scaled; none of a model that reads pairs"""

    @property
    def training(self) -> Told:
        """What is learned from, in its files."""
        return self.split.training


def _data(config: RewardConfig, split_: Split, heads: Heads, network: Network, run: Run) -> _Data:
    """All preferences, those that stay in memory in tokens. Raises: UserError."""
    for problem in split_.skipped:
        run.say(f"skipped {problem}")
    kind = OBJECTIVES[split_.objective]

    def read(rows: Sequence[Row]) -> Tokenised:
        return tokenised(rows, network, orders=kind.BOTH_ORDERS, asks=split_.asks)

    def learn(rows: Sequence[Row]) -> Tokenised:
        return tokenised(rows, network, orders=kind.BOTH_ORDERS, asks=split_.asks, trust=config.trust)

    first = first_of(split_.training, learn, path=config.preferences, say=run.say, context=network.codec.context)
    validated, undecided = (heads.placed(read(rows)) for rows in (split_.validation, split_.undecided))
    held_out = config.held_out or f"{config.preferences} (held out)"
    validated.tell(run.say, held_out, network.codec.context)
    if not validated.rows:
        raise UserError(
            f"{held_out}: no row speaks of what is learned, which is {', '.join(heads.names)}. Give another held_out, "
            "or leave it out."
        )
    scale = [] if kind.BOTH_ORDERS else scaled_by(config, network, first, run.say)
    return _Data(split_, learn, first, validated, undecided, scale)


def _finish(
    config: RewardConfig,
    network: Network,
    heads: Heads,
    objective: Objective,
    data: _Data,
    taught: Taught,
    sizes: Batching,
    looked: torch.Tensor,
    run: Run,
) -> None:
    """Measures, saves, and says how good the model is. Args: looked: (B, K, C) the scores of the held-out items."""
    if len(data.training) > FIRST:
        tell(taught.cuts, taught.num_equal, run.say, config.preferences, network.codec.context)
    heads.fold(network)
    readings = Readings(network, sizes)
    columns, same = heads.scale(readings.read(data.scale)[0]) if data.scale else (AS_IT_IS, False)
    if same:
        run.say(
            f"{config.demonstrations or config.preferences}: the {len(data.scale)} responses that put scores on a "
            "scale all have the same score, so scores are moved to mean 0 and not scaled. Give more demonstrations."
        )
    validated, again = data.validated, heads.placed(data.first).first(max(READ_AGAIN, len(data.validated.items)))
    reached = columns.raw_scores(readings.tables(again.items))
    tied = columns.raw_scores(tables_of(data.undecided.items, network, sizes))
    of_columns = heads.told(looked, validated)
    card = card_of(
        Trained(str(run.folder / layout.MODEL), network, sizes, columns),
        network,
        data.split,
        Pairs.of(validated, columns.raw_scores(looked)) + Pairs.of(data.undecided, tied),
        Pairs.of(again, reached),
        alone=not objective.BOTH_ORDERS,
        unit=objective.UNIT,
        seed=config.seed,
        tie_edge=objective.first_edge(taught.said),
        parts=heads.parts(of_columns),
        curve=partial(learning_curve, config, run.folder, taught),
    )
    _save(run.folder / layout.MODEL, network, columns, readings, data, card)
    objective.look(reached, again.items)
    begun, learned = objective.without_opinion(taught.said), objective.learned(taught.said)
    for said in learned.get("annotators", ()):
        run.say(sentence(said))
    result = {"num_held_out": len(validated.items), "objective": data.split.objective, **begun, **learned}
    run.finish(outputs=[layout.MODEL], result=shown(card, config, run) | result | _counts(data, taught) | of_columns)


def _counts(data: _Data, taught: Taught) -> dict[str, int]:
    """How many pairs taught, and what was cut, left out or skipped."""
    parts = (taught, data.validated, data.undecided)
    return {
        "num_training": taught.num,
        "num_prompts_cut": sum(part.cuts.prompts for part in parts),
        "num_responses_cut": sum(part.cuts.responses for part in parts),
        "num_equal": sum(part.num_equal for part in parts),
        "num_undecided": data.split.num_undecided,
        "num_replayed": data.split.num_replayed,
        "num_skipped": len(data.split.skipped),
    }


def _save(folder: Path, network: Network, columns: Columns, readings: Readings, data: _Data, card: Card | None) -> None:
    """The model, how its scores are shifted and scaled, what is usual to it, and its card."""
    carded = {layout.MODEL_CARD: card.model_dump(mode="json")} if card else {}
    if not data.scale:  # a pair classifier: it scores no response alone
        save(folder, network, beside={NORMALISATION: columns.told, PAIRS: READS, **carded})
        return
    (_, learned), (raw, held_out) = (
        readings.read([ids for item in read.items for ids in item.sequences][:KNOWN])
        for read in (data.first, data.validated)
    )
    each = zip(raw.unbind(1), columns.columns, strict=True)
    alone = {of.name: normalised_scores(one, mean=of.mean, std=of.std) for one, of in each}
    outliers = Outliers.of(learned, held_out, columns.scores(raw), alone if len(alone) > 1 else None)
    save(folder, network, beside={NORMALISATION: columns.told, **outliers.files(), **carded})


def validation(tables: torch.Tensor, held_out: Tokenised, heads: Heads, objective: Objective) -> dict[str, float]:
    """Accuracy over the pairs of held-out items, each item weighing one; and their loss, if they are of the kind that
    the objective learns from. Args: tables: (B, K, C) raw."""
    items, found = held_out.items, dict[str, float]()
    if told := sum(bool(item.pairs) for item in items):
        scores = heads.main(tables, items)
        found["accuracy/validation"] = float(ordered(scores, items).cpu().double().sum() / told)
    if isinstance(held_out.rows[0], objective.READS):
        found["loss/validation"] = objective.mean_loss(*heads.asked(tables, held_out))
    return found


def scaled_by(config: RewardConfig, network: Network, training: Tokenised, say: Say) -> list[list[int]]:
    """Demonstrations (or chosen responses) in tokens, whose scores will have mean 0 and deviation 1.

    Read before training, for a file that cannot be read must not cost a model that is trained. Raises: UserError.
    """
    if config.demonstrations is not None:
        rows = [
            (d.messages, d.response)
            for d in first_records(config.demonstrations, Demonstration, NUM_DEMONSTRATIONS, say=say)
        ]
    else:
        few = list(zip(training.rows, training.items, strict=True))[:NUM_DEMONSTRATIONS]
        rows = [(row.messages, best(row, item)) for row, item in few]
    codec = network.codec
    both = zip(codec.prompts([m for m, _ in rows]), codec.responses([r for _, r in rows]), strict=True)
    return [fitted(prompt, response, codec.context) for prompt, response in both]
