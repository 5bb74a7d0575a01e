"""Random streams by name: what is drawn at a place is decided by (seed, stream, place) and by nothing else.

So a position is enough to resume, and two streams never draw the same numbers. torch's generators are made of these
seeds in `ops/draws.py`.
"""

import hashlib

STREAMS: dict[str, str] = {
    "pretrain.weights": "initial weights",
    "pretrain.practice": "order of the practice documents, by pass",
    "pretrain.corpus": "order of the corpus, by pass",
    "adapter.weights": "initial weights of an adapter, by layer",
    "sft.split": "which demonstrations are held out",
    "sft.batches": "order of the demonstrations, by epoch",
    "sft.gate": "responses that the gate looks at",
    "choose.order": "order of the pool and of the prompts chosen from it",
    "choose.responses": "responses on which a reward may disagree, by part",
    "choose.draw": "which prompts are chosen",
    "collect.older": "which responses older policies write, by prompt; theirs, by policy, chunk and attempt",
    "collect.responses": "responses to be judged, by chunk and attempt",
    "revise.drafts": "drafts that are revised, by part",
    "revise.answers": "critiques and revisions of a model in memory, by part, round, which of the two, and attempt",
    "collect.audit": "which pairs a model is compared with people on, and what simulated ones say",
    "collect.altered": "what is wrong in copies of responses, by prompt",
    "reward.split": "which prompts are held out",
    "reward.replay": "which rows of earlier rounds are learned from again",
    "reward.members": "the seeds of an ensemble's members",
    "reward.share": "which prompts are learned from, if only a share is",
    "reward.batches": "order of the prompts, by epoch",
    "reward.heads": "first weights of a member's head, by member; what a prompt weighs for it, by member and prompt",
    "health.probes": "which responses are edited, and how, by the texts themselves",
    "health.training": "training pairs that a health card looks at, where there are many",
    "direct.samples": "what a policy answers to held-out prompts once it has learned",
    "online.prompts": "order of the prompts, by pass over them",
    "online.rollouts": "responses of a step, by step",
    "online.further": "order of the prompts that stand in for others, by pass and by how often a step has sampled",
    "online.again": "the seed of what is sampled for those, by how often a step has sampled",
    "online.turns": "later turns of a step's rollouts, by step and turn",
    "online.env": "what an environment is told to draw from, by step and prompt of the step",
    "online.minibatches": "which rollouts share an update, by step and epoch",
    "online.ptx": "order of what is imitated beside, by pass",
    "online.replay": "which rollouts of earlier steps are learned from again, by step; in which update, by epoch too",
    "best.responses": "responses of which the best is kept, by the first prompt of a part",
    "best.of": "responses among which several rewards choose, by the first prompt of a part",
    "lab.pairs": "which preferences a reward model of the lab learns from",
    "lab.flips": "which of them are turned round",
    "evaluate.responses": "responses of a model, by chunk; the same for every model",
    "evaluate.sides": "on which side the candidate is shown to the judge",
    "skills.suite": "the tasks of a suite that prefloop makes, by skill",
    "hacks.responses": "responses of policy and reference, by model and the first prompt of a part",
    "sweep.responses": "responses that are weighed, by the first prompt of a part",
    "chat.responses": "what a model says, by turn",
    "serve.responses": "responses to a request",
}
"""Stream -> what is drawn from it."""


def seed_of(seed: int, stream: str, *place: int) -> int:
    """The seed of a stream at a place, in [0, 2^63).

    Args:
        seed: the run's.
        stream: a name in `STREAMS`.
        place: where in the stream, for instance the step.

    Raises: ValueError for a stream that is not in the table.
    """
    if stream not in STREAMS:
        raise ValueError(f"no random stream is called {stream!r}; add it to STREAMS in seeds.py")
    digest = hashlib.sha256(repr((seed, stream, place)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def is_held_out(prompt: str, share: float, seed: int) -> bool:
    """True for a fixed random share of the prompts, told apart by their words, so that a prompt under two ids is on one
    side."""
    digest = hashlib.sha256(f"{seed} {prompt}".encode()).digest()  # a checksum such as CRC keeps alike what reads alike
    return int.from_bytes(digest[:8], "big") < share * 2**64
