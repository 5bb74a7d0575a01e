"""The loop: begin a round from what the last one selected, run its stages, let the gate decide, go round again.

Reads: a recipe with `rounds:`, whose stages before them have run. Writes: a folder for each round, and `lineage.json`.
Killed at any moment it goes on: a round that is not decided is continued, and every stage goes on by itself. Follows
PIPE-4, DIA-7: each round's pairs are scored by the last reward model and by the refreshed one.
"""

from collections.abc import Mapping
from pathlib import Path

from prefloop import layout
from prefloop.config import Config
from prefloop.errors import UserError
from prefloop.evaluate.config import RewardFileConfig
from prefloop.evaluate.reward_file import evaluate_file
from prefloop.files.atomic import make_folder, write_text
from prefloop.files.documents import read_document
from prefloop.files.gates import read_gate
from prefloop.models.load import model_folder
from prefloop.named import named
from prefloop.outcome import MORE
from prefloop.printing import say
from prefloop.records.benches import Bench
from prefloop.records.cards import Share
from prefloop.records.evaluations import Evaluation, WinRate
from prefloop.records.gates import Gate
from prefloop.records.lineages import Lineage, Round
from prefloop.records.runs import Artefact, Finished
from prefloop.rounds import lineage as kept
from prefloop.rounds import turns
from prefloop.rounds.gate_config import GOLD
from prefloop.rounds.recipe import STAGES, Recipe
from prefloop.rounds.told import told
from prefloop.stats.paying import Expected, next_gain


def go(recipe: Recipe) -> int:
    """Runs rounds until as many are decided as asked for. Returns: the exit code, 0 or `MORE`."""
    head = turns.head(recipe)
    with kept.held(recipe.out):
        lineage = _opened(recipe)
        kept.write(recipe.out, lineage)  # with what was typed now, which is what goes on if this is killed
        while True:
            this = _open_round(recipe, lineage)
            if this is None:
                ended = why_ended(lineage, head)
                if ended:
                    kept.write(recipe.out, lineage.model_copy(update={"ended": ended}))
                    say(f"rounds: {ENDED[ended]}. {_told(lineage)}")
                    return 0
                this = _begun(recipe, lineage, head.begin)
                lineage = kept.with_round(lineage, this)
                kept.write(recipe.out, lineage)
            code, this = _run(recipe, lineage, this)
            if code == MORE:
                return code
            lineage = kept.with_round(lineage, this).model_copy(update={"head": this.name})
            kept.write(recipe.out, lineage)
            say(f"[round {this.name}] {this.sentence} {_told(lineage)}")


ENDED = {
    "num": "as many rounds as asked for are decided (rounds.num=N asks for more)",
    "holds": "the last rounds selected no new policy, so none begins (rounds.holds=0 goes on)",
    "gain": "another round is expected to gain too little, so none begins (rounds.least_gain=0 goes on)",
}
"""Why no further round begins -> the same in words."""


def why_ended(lineage: Lineage, head: turns.RoundsConfig) -> str:
    """Why no further round begins after the head; empty if one does."""
    line = lineage.line(lineage.head)
    if len(line) >= head.num:
        return "num"
    last = line[-head.holds :] if head.holds else ()
    if head.holds and len(last) == head.holds and all(each.decision == "hold" for each in last):
        return "holds"
    expected = expected_gain(line)
    return "gain" if expected is not None and expected.high < head.least_gain else ""


def expected_gain(line: tuple[Round, ...]) -> Expected | None:
    """What another round may gain over the policy of now, by the gains so far."""
    if any(each.gain is None for each in line):
        return None
    gains = [(each.gain or 0.0) if each.decision == "ship" else 0.0 for each in line]
    return next_gain(gains, [each.gain_error or 0.0 for each in line])


def _told(lineage: Lineage) -> str:
    """What another round may gain, and cost."""
    line = lineage.line(lineage.head)
    expected = expected_gain(line)
    if expected is None:
        return ""
    ends = f"{100 * expected.low:.1f}, {100 * expected.high:.1f}"
    judged = [each.judgements for each in line if each.judgements]
    cost = f", for about {sum(judged) / len(judged):.0f} judgements" if judged else ""
    return f"Another round may gain {100 * expected.mean:+.1f} points of win rate [{ends}]{cost}."


def _opened(recipe: Recipe) -> Lineage:
    """The lineage that is there, or a new one."""
    if not kept.file_of(recipe.out).is_file():
        return Lineage(recipe=str(Path(recipe.path).resolve()), typed=recipe.typed)
    lineage = kept.read(recipe.out)
    return lineage.model_copy(update={"ended": "", "typed": recipe.typed, "recipe": str(Path(recipe.path).resolve())})


def _open_round(recipe: Recipe, lineage: Lineage) -> Round | None:
    """The round that has begun after the head and is not decided, if there is one; what it began from is looked at."""
    found = next((r for r in lineage.rounds if r.parent == lineage.head and r.decision is None), None)
    if found is not None:
        _check(recipe, found)
    return found


def _check(recipe: Recipe, this: Round) -> None:
    kept.check(this.incumbent, of=f"the policy that round {this.name} begins from", out=recipe.out)
    if this.reward is not None:
        kept.check(this.reward, of=f"the reward model that round {this.name} begins from", out=recipe.out)


def _begun(recipe: Recipe, lineage: Lineage, begin: str) -> Round:
    """The next round after the head."""
    parent = lineage.named(lineage.head)
    name, number = kept.name_after(lineage, parent)
    incumbent = parent.selected if parent else kept.artefact(recipe.out, model_folder(begin))
    assert incumbent is not None  # a decided round has selected one
    reward = parent.refreshed if parent else None
    this = Round(name=name, number=number, parent=lineage.head, incumbent=incumbent, reward=reward)
    _check(recipe, this)
    say(f"[round {name}] begins from {kept.place(recipe.out, incumbent)}")
    return this


def _run(recipe: Recipe, lineage: Lineage, this: Round) -> tuple[int, Round]:
    """Runs (or continues) the stages of a round. Returns: the exit code, and the round as it is decided."""
    folder = turns.folder(recipe, this.name)
    make_folder(folder)
    _write_earlier(recipe, lineage, this)
    settings = recipe.turned(turns.turn(recipe, lineage, this))
    later = turns.after_gate(list(settings))
    made: Gate | None = None
    for number, name in enumerate(list(settings), start=1):
        if name in later and (made is None or made.verdict != "ship"):
            break
        with told(f"{this.name}:{number}/{len(settings)}", name, folder / name):
            named(STAGES[name].function)(settings[name])
        if name == layout.REWARD:
            _score_pairs(recipe, this, folder)
        if name == layout.EVALUATE:  # what it has selected is known now
            settings = recipe.turned(turns.turn(recipe, lineage, this))
        if name == layout.GATE:
            made = read_gate(folder / layout.GATE / layout.GATED)
            if made.verdict == "more":
                say(f"[round {this.name}] {made.sentence} Then type the same command again.")
                return MORE, this
    assert made is not None  # every round has a gate
    return 0, decided(recipe.out, lineage, this, folder, made, settings)


def _write_earlier(recipe: Recipe, lineage: Lineage, this: Round) -> None:
    """All that was learned from before a round, in one file."""
    path = turns.folder(recipe, this.name) / layout.EARLIER
    files = [
        turns.folder(recipe, each.name) / layout.COLLECT / layout.PREFERENCES for each in lineage.line(this.parent)
    ]
    if not files or path.is_file() or layout.COLLECT not in turns.section(recipe):
        return
    gone = next((file for file in files if not file.is_file()), None)
    if gone is not None:
        raise UserError(
            f"{gone}: what an earlier round learned from is not there any more, and this round learns from it again. "
            f"Put it back, or begin before it: prefloop rounds {recipe.out} back NAME"
        )
    write_text(path, "".join(file.read_text(encoding="utf-8") for file in files))


def _score_pairs(recipe: Recipe, this: Round, folder: Path) -> None:
    """How right the last reward model and the refreshed one are on this round's held-out pairs."""
    pairs = folder / layout.COLLECT / layout.HELD_OUT
    if not pairs.is_file() or not pairs.stat().st_size:
        return
    shared = {key: recipe.values[key] for key in ("seed", "device", "threads") if key in recipe.values}
    models = {layout.FRESH: str(folder / layout.REWARD / layout.MODEL)}
    if this.reward is not None:
        models[layout.STALE] = kept.place(recipe.out, this.reward)
    for name, model in models.items():
        evaluate_file(RewardFileConfig(reward=model, data=str(pairs), out=str(folder / name), **shared))


def _accuracy(folder: Path) -> Share | None:
    path = folder / layout.BENCH
    return read_document(path, Bench).accuracy if path.is_file() else None


def decided(
    out: Path, lineage: Lineage, this: Round, folder: Path, made: Gate, settings: Mapping[str, Config]
) -> Round:
    """A round with all that came of it, sealed."""
    finished = {
        name: read_document(folder / name / layout.FINISHED, Finished)
        for name in settings
        if (folder / name / layout.FINISHED).is_file()
    }
    outputs = {
        f"{name}/{key}": output.model_copy(update={"path": kept.inside(out, folder / name / output.path)})
        for name, each in finished.items()
        for key, output in each.outputs.items()
    }
    judged = int(finished[layout.COLLECT].result["num_judgements"]) if layout.COLLECT in finished else 0
    shipped = made.verdict == "ship"
    there = kept.selected(folder, made.candidate, made.candidate_fingerprint)
    new = Artefact(path=kept.inside(out, there), fingerprint=made.candidate_fingerprint)
    if shipped:
        kept.check(new, of=f"the policy that round {this.name} has selected", out=out)
    refreshed = kept.artefact(out, folder / layout.REWARD / layout.MODEL) if layout.REWARD in finished else this.reward
    evaluation = read_document(folder / layout.EVALUATE / layout.EVALUATION, Evaluation)
    test = evaluation.tested[1]
    gain, error = _gain(test.win_rate, made)
    told = this.model_copy(update={
        "outputs": outputs, "judgements": judged + (made.duel.judgements if made.duel.by != GOLD else 0),
        "stale": _accuracy(folder / layout.STALE), "fresh": _accuracy(folder / layout.FRESH),
        "decision": made.verdict, "sentence": made.sentence, "signature": made.signature,
        "selected": new if shipped else this.incumbent, "refreshed": refreshed,
        "gain": gain, "gain_error": error,
        "over_base": test.base_win_rate,
    })  # fmt: skip
    return told.model_copy(update={"seal": kept.seal_of(lineage, told)})


def _gain(rate: WinRate | None, made: Gate) -> tuple[float | None, float | None]:
    """What was won beyond one half, and its error: by gold on all test prompts, or as far as the gate's judge went."""
    if rate is not None and rate.judge == "gold" and rate.low is not None and rate.high is not None:
        return rate.mean - 0.5, (rate.high - rate.low) / 3.92
    duel = made.duel
    return (None, None) if duel.win_rate is None else (duel.win_rate - 0.5, 0.5 / max(duel.prompts, 1) ** 0.5)
