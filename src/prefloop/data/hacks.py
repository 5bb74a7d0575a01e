"""Hacks that a policy found, as preferences: what its reward model likes and a second judge does not, rejected.

Reads: the folder of a run that trained a policy, and what it names: the policy that it kept, the reference that it
began as, the reward, the prompts; and a second judge. Writes: `hacks.jsonl`, preferences for `prefloop reward`, and
`looked_at.jsonl`, every response of the policy with its numbers and what became of it. Follows RM-13. A run keeps
policies and not its rollouts, so responses are drawn anew, as the run drew them.

    ahead(y) = score of y - mean score of the reference's responses to the same prompt
    std      = deviation of the reference's scores within a prompt, over all prompts
    y is a hack if ahead(y) >= high * std by the reward, and ahead(y) <= -low * std by the judge
    chosen is the reference's response to that prompt that the judge likes best

Shapes: P prompts, K responses of each of the two models to each.
"""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prefloop import layout
from prefloop.data.config import HacksConfig, TrainedPolicy
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.atomic import write_text
from prefloop.files.documents import read_document
from prefloop.files.tables import jsonl, write_records
from prefloop.models.device import Placement, placement
from prefloop.models.load import causal, model_folder
from prefloop.models.network import Network
from prefloop.records import Preference, Prompt, RunCard
from prefloop.run import Run
from prefloop.sampling.in_process import InProcess
from prefloop.scoring.named import reward_input, reward_inputs, scorer, scorer_as
from prefloop.scoring.protocol import Scored, Scorer
from prefloop.seeds import seed_of
from prefloop.stages import OPTIMISING
from prefloop.text.examples import FittingPrompts

OWN = ("disagreement", "outlier")
"""What the reward may know by itself that speaks against a response."""
SAYS = {
    "hack": "hacks, which are written as rejected",
    "again": "hacks that are there already, word for word",
    "agreed": "that both like",
    "unmatched": "hacks to whose prompt the reference wrote nothing that the judge likes better, left out",
    "low": "that the reward does not score so high",
    "empty": "with nothing in them",
}
"""What becomes of a response -> how it is counted."""


@dataclass(frozen=True)
class Answers:
    """What was written to one prompt, and what was said of it: first K of the policy's, then K of the reference's."""

    texts: list[str]
    reward: list[float]
    judge: list[float]
    """the higher the better"""


def find(config: HacksConfig) -> str:
    """Runs (or continues) the search. Returns: what was found, in words."""
    told, policy = _told(config)
    reference, prompts = config.reference or told.policy, config.prompts or told.prompts
    own = config.judge in OWN
    inputs = {"policy": policy, "reference": model_folder(reference), "prompts": prompts, **reward_inputs(told.reward)}
    with Run(config, inputs=inputs | ({} if own else {"judge": reward_input(config.judge)})) as run:
        if not run.finished:
            place = placement(config.device, config.dtype)
            models = [causal(policy, place, template=told.template, weights=config.weights)]
            models.append(causal(reference, place, template=told.template, beside=models[0], weights=config.weights))
            for network in models:
                run.caution(network.hold(config.weights))
            reward = scorer_as(told, told.reward, place, weights=config.weights, beside=models[0])
            judge = None if own else _second(config, place, models[0])
            asked = FittingPrompts.of(
                models[0].codec, prompts, room=told.max_new_tokens, say=run.say, num=config.num_prompts
            )
            starts = range(0, len(asked.ids), config.batch_prompts)
            run.progress.start(len(starts), unit="part")
            for index in run.parts(len(starts)):
                some = slice(starts[index], starts[index] + config.batch_prompts)
                texts = _written(config, told, models, asked.ids[some], starts[index])
                made = _scored(config, reward, judge, asked.records[some], texts)
                run.write_part(index, [vars(one) for one in made])
                run.progress.advance()
            answers = [Answers(**one) for part in run.read_parts(len(starts)) for one in part]
            _write(config, run, asked.records, answers, Path(policy).name)
        return _sentence(config, run)


def _told(config: HacksConfig) -> tuple[TrainedPolicy, str]:
    """How a policy was trained, and the folder of the one that is looked at.

    Raises: UserError if none was trained there, or its reward is not what it was.
    """
    folder = Path(config.run)
    card = read_document(folder / layout.CARD, RunCard) if (folder / layout.CARD).is_file() else None
    kept = layout.policies(folder)
    if card is None or card.stage not in OPTIMISING or not kept:
        raise UserError(
            f"{folder}: no policy was trained here. Give as run the folder of a {' or '.join(OPTIMISING)} run that has "
            "kept a policy."
        )
    policy = kept[-1] if config.step is None else folder / layout.policy(config.step)
    if policy not in kept:
        steps = ", ".join(str(layout.step_of(path.name)) for path in kept)
        raise UserError(f"{folder}: no policy was kept after step {config.step}. There are those after: {steps}.")
    if card.config.get("env") is not None:
        raise UserError(
            f"{folder}: this policy was trained over several turns, with env={card.config['env']}, and what it says "
            "is not looked at yet. Give a run of single responses."
        )
    fields = TrainedPolicy.model_fields.keys() & card.config.keys()
    told = TrainedPolicy.model_validate({name: card.config[name] for name in fields})
    if config.reward is not None:
        return told.model_copy(update={"reward": config.reward}), str(policy)
    for key, path in reward_inputs(told.reward).items():
        if fingerprints.of_path(path) != card.inputs[key].fingerprint:
            raise UserError(
                f"{path}: it is not what {folder} was trained against any more, which found other hacks. Put it back, "
                "or name as reward=FOLDER what is to be looked at."
            )
    return told, str(policy)


def _second(config: HacksConfig, place: Placement, beside: Network) -> Scorer:
    return scorer(config.judge, place, seconds=config.reward_seconds, weights=config.weights, beside=beside)


def _written(
    config: HacksConfig, told: TrainedPolicy, models: Sequence[Network], ids: Sequence[list[int]], start: int
) -> list[list[str]]:
    """(P, 2K) what policy and reference write to some prompts. Args: start: the first prompt's place."""
    copies = config.responses_per_prompt
    made = []
    for number, model in enumerate(models):
        place = seed_of(config.seed, "hacks.responses", number, start)
        sampled = InProcess(model).sample(ids, told.sampling(), place, copies=copies)
        texts = [model.codec.decode(one.tokens) for one in sampled]
        made.append([texts[i : i + copies] for i in range(0, len(texts), copies)])
    return [[*mine, *theirs] for mine, theirs in zip(*made, strict=True)]


def _scored(
    config: HacksConfig, reward: Scorer, judge: Scorer | None, asked: Sequence[Prompt], texts: Sequence[Sequence[str]]
) -> list[Answers]:
    """What both say of all responses to some prompts, those of one prompt together."""
    each = [(prompt.messages, text, prompt.tags) for prompt, some in zip(asked, texts, strict=True) for text in some]
    read = tuple(zip(*each, strict=True))
    said = reward.detailed(*read)
    second = _against(config.judge, reward, said) if judge is None else judge.detailed(*read).scores.tolist()
    first, width = said.scores.tolist(), len(texts[0])
    places = [slice(i, i + width) for i in range(0, len(each), width)]
    return [Answers(list(some), first[at], second[at]) for some, at in zip(texts, places, strict=True)]


def _against(word: str, reward: Scorer, said: Scored) -> list[float]:
    """What speaks against responses by the reward's own account, negated. Raises: UserError if it tells nothing."""
    told = said.disagreement if word == "disagreement" else said.outlier
    if told is None:
        missing = "it is no ensemble" if word == "disagreement" else "its folder holds no prefloop_outliers.json"
        raise UserError(
            f"judge={word}: {reward.name} does not tell that: {missing}. Give as judge another reward model's folder, "
            "or python:FILE.py:FUNCTION."
        )
    return (-told).tolist()


def ahead(scores: np.ndarray) -> tuple[np.ndarray, float]:
    """(P, K) how far each of the policy's responses is above the mean of the reference's to its prompt, and the
    deviation of the reference's within a prompt, over all. Args: scores: (P, 2K), the policy's K first."""
    mine, theirs = np.split(scores, 2, axis=1)
    means = theirs.mean(1, keepdims=True)
    return mine - means, math.sqrt(np.square(theirs - means).sum() / (theirs.size - len(theirs)))


def fates(config: HacksConfig, answers: Sequence[Answers]) -> tuple[list[list[str]], np.ndarray, np.ndarray]:
    """What becomes of each of the policy's responses, by the words of `SAYS`; and (P, K) how far ahead the reward and
    the judge see it."""
    liked, std = ahead(np.array([one.reward for one in answers]))
    judged, judge_std = ahead(np.array([one.judge for one in answers]))
    high, low = (liked > 0) & (liked >= config.high * std), (judged < 0) & (judged <= -config.low * judge_std)

    def fate(number: int, place: int, one: Answers) -> str:
        if not one.texts[place].strip():
            return "empty"
        if not high[number, place]:
            return "low"
        if not low[number, place]:
            return "agreed"
        if best(one, place) is None:
            return "unmatched"
        return "again" if one.texts[place] in one.texts[:place] else "hack"

    places = range(liked.shape[1])
    return [[fate(number, place, one) for place in places] for number, one in enumerate(answers)], liked, judged


def best(one: Answers, place: int) -> int | None:
    """The place of the reference's response that the judge likes best, if it likes it better than the policy's."""
    theirs = [i for i in range(len(one.texts) // 2, len(one.texts)) if one.texts[i].strip()]
    top = max(theirs, key=lambda i: one.judge[i], default=place)
    return top if one.judge[top] > one.judge[place] and one.texts[top] != one.texts[place] else None


def _write(config: HacksConfig, run: Run, prompts: Sequence[Prompt], answers: Sequence[Answers], policy: str) -> None:
    """Decides, writes and counts."""
    fate, liked, judged = fates(config, answers)
    rows, looked, wrong = list[Preference](), list[dict[str, Any]](), 0
    for number, (prompt, one) in enumerate(zip(prompts, answers, strict=True)):
        for place, word in enumerate(fate[number]):
            text, top = one.texts[place], best(one, place)
            looked.append({"id": f"{prompt.id}:{place}", "response": text, "became": word})
            looked[-1] |= {"reward": one.reward[place], "reward_ahead": liked[number, place]}
            looked[-1] |= {"judge": one.judge[place], "judge_ahead": judged[number, place]}
            if word == "hack" and top is not None:
                chosen = one.texts[top]
                looked[-1] |= {"chosen": chosen, "reward_chosen": one.reward[top], "judge_chosen": one.judge[top]}
                wrong += one.reward[place] > one.reward[top]
                tags = (*prompt.tags, f"hack:{policy}")
                row = {"id": f"{prompt.id}:{place}", "messages": prompt.messages, "tags": tags}
                rows.append(Preference(**row, chosen=chosen, rejected=text))
    write_records(run.folder / layout.HACKS, rows)
    write_text(run.folder / layout.LOOKED_AT, jsonl(looked))
    counts = Counter(itertools.chain.from_iterable(fate))
    result = {"num_prompts": len(answers), "num_responses": len(looked), "num_misordered": wrong}
    result |= {f"num_{word}": counts[word] for word in SAYS}
    run.finish(outputs=[layout.HACKS, layout.LOOKED_AT], result={**result, "policy": policy})


def _sentence(config: HacksConfig, run: Run) -> str:
    """What was found, counted."""
    told = run.result
    lines = [f"{told['num_responses']} responses of {told['policy']} to {told['num_prompts']} prompts:"]
    lines += [f"{told[f'num_{word}']:>6} {says}" for word, says in SAYS.items() if told[f"num_{word}"]]
    if told["num_hack"]:
        lines.append(f"the reward model scores {told['num_misordered']} of {told['num_hack']} above what is chosen")
    else:
        lines.append("there is nothing to learn from here. With a lower high or low, more are hacks.")
    return "\n".join([*lines, f"{run.folder / layout.HACKS}; each with its numbers: {run.folder / layout.LOOKED_AT}"])
