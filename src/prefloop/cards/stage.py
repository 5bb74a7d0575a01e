"""Cards: what a reader must know of a model and of the data behind it, in Markdown, from the files of its runs.

Reads: a model folder, and of what is given: collect folders, demonstrations, an evaluation, a reward model's card, a
gate's decision. Writes: MODEL_CARD.md and DATA_CARD.md, each also in Chinese, with the YAML that the Hugging Face hub
reads, and `pii.jsonl`. Follows Mitchell et al. 2019 (model cards) and Gebru et al. 2021 (datasheets). Leaves out: what
only people can say, such as what the model is for; numbers come from files, and what no file says is not recorded.
"""

from pathlib import Path

from prefloop import layout
from prefloop.cards.config import CardsConfig
from prefloop.cards.data_card import data_card
from prefloop.cards.facts import chosen_model, gathered_facts
from prefloop.cards.model_card import model_card
from prefloop.files.atomic import write_text
from prefloop.files.tables import write_records
from prefloop.models.load import model_folder
from prefloop.run import Run

CARDS = {
    layout.CARD_OF_MODEL: (model_card, "en"),
    layout.CARD_OF_MODEL_ZH: (model_card, "zh"),
    layout.DATA_CARD: (data_card, "en"),
    layout.DATA_CARD_ZH: (data_card, "zh"),
}
"""File -> what writes it, and in which language."""


def write(config: CardsConfig) -> Path:
    """Runs (or continues) the stage. Returns: the model card."""
    model = chosen_model(config)
    inputs: dict[str, str | None] = {"model": model, "demonstrations": config.demonstrations, "gate": config.gate}
    inputs |= {"evaluation": config.evaluation}
    inputs |= {f"collected.{place}": folder for place, folder in enumerate(config.collected)}
    inputs |= {} if config.reward is None else {"reward": model_folder(config.reward, scores=True)}
    with Run(config, inputs=inputs) as run:
        file = run.folder / layout.CARD_OF_MODEL
        if run.finished:
            return file
        facts = gathered_facts(config, model)
        write_records(run.folder / layout.PII, facts.scan.found)
        for name, (card, language) in CARDS.items():
            write_text(run.folder / name, card(config, facts, language))
        if facts.scan.found:
            run.say(f"personal data were found in {len(facts.scan.found)} places; see {run.folder / layout.PII}.")
        result = {"model": facts.fingerprint, "num_texts": facts.scan.num_texts, "num_personal": len(facts.scan.found)}
        run.finish(outputs=[layout.PII, *CARDS], result={**result, "personal": facts.scan.kinds})
    return file
