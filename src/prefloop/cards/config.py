"""Settings of `prefloop cards`."""

from typing import Self

from pydantic import model_validator

from prefloop.settings import RunConfig


class CardsConfig(RunConfig):
    """What the cards are about. What is left out they call not recorded."""

    model: str | None = None
    """Model folder that the cards are written for; left out, the one that the evaluation selected."""

    collected: tuple[str, ...] = ()
    """Folders of `prefloop collect`, of all rounds that it learned from."""

    demonstrations: str | None = None
    """File of demonstrations that it began with."""

    evaluation: str | None = None
    """Folder of `prefloop evaluate` in which it was measured."""

    reward: str | None = None
    """Reward model folder that it was optimised against, whose health card says what that cannot see."""

    gate: str | None = None
    """Decision of `prefloop gate` on it, gate.json."""

    name: str = ""
    """What the model is called; left out, the name of its folder."""

    base: str | None = None
    """Model that it all began from, as a hub id or in words."""

    licence: str = ""
    """Licence of the model, as the Hugging Face hub spells it: apache-2.0, mit, other."""

    data_licence: str = ""
    """Licence of the data, likewise."""

    consent: str = ""
    """What annotators and users were told and agreed to, in your own words; no file of prefloop records it."""

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.model is None and self.evaluation is None:
            raise ValueError(
                "nothing says which model the cards are of. Give model=FOLDER, or evaluation=FOLDER for the one that "
                "was selected there."
            )
        return self
