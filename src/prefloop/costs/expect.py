"""What a training stage says of its memory when it begins, and that it does not begin what cannot end well."""

import math

import torch

from prefloop.costs.estimate import GB, Estimate, Needs, in_three_lines, size
from prefloop.errors import UserError
from prefloop.models.machine import give_back, held_memory, room
from prefloop.run import Run
from prefloop.settings import Trained


def refuse_too_large(settings: Trained, least: Needs) -> None:
    """Looks before anything is loaded whether weights and optimiser alone are more than there is.

    Args:
        least: what a single token would need.

    Raises: UserError.
    """
    _refuse(settings, Estimate(least, held_memory(torch.device(least.device))), "even for one short row")


def expect(run: Run, settings: Trained, needs: Needs) -> None:
    """Says in three lines what will be held, and has the run compare it with what was. Call it once all is loaded.

    Raises: UserError if it is more than there is.
    """
    device = torch.device(needs.device)
    give_back()
    loaded = sum(role.weights for role in needs.roles)
    around = max(0.0, held_memory(device) - loaded) if device.type == "cpu" else 0.0
    estimate = Estimate(needs, around)
    run.expects(estimate.peak, needs.device)
    for line in in_three_lines(estimate, room(device, settings.memory)):
        run.say(line)
    _refuse(settings, estimate, f"({estimate.at})")


def _refuse(settings: Trained, estimate: Estimate, when: str) -> None:
    needs = estimate.needs
    there = room(torch.device(needs.device), settings.memory)
    if estimate.peak > there:
        limit = f"memory={settings.memory:g} allows" if settings.memory else "are there"
        raise UserError(
            f"this would take {size(estimate.peak)} of memory {when}, and {size(there)} {limit}. What to change, "
            f"cheapest first: prefloop plan {needs.stage} with the same settings. To try it anyway, set "
            f"memory={math.ceil(1.3 * estimate.peak / GB)} (gigabytes)."
        )
