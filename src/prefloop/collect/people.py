"""People judge: the page runs as a process of its own, and what they decided is read from the file that it writes.

Reads and writes: the stage's folder, in which the page finds `comparisons.jsonl` and leaves `judged/judgements.jsonl`.
"""

import subprocess
import sys
import time

from prefloop import layout
from prefloop.collect.config import CollectConfig
from prefloop.errors import UserError
from prefloop.files.tables import read_records, write_records
from prefloop.records import Comparison, Judgement
from prefloop.run import Run

COMMAND = ("-m", "prefloop", "web")
"""What starts the page, after Python itself."""
LOOK_EVERY = 0.5
"""Seconds between two looks for the file."""
PATIENCE = 10.0
"""Seconds that the page has to end after it was asked to."""


def judged_by_people(run: Run, config: CollectConfig, comparisons: list[Comparison]) -> list[Judgement]:
    """Waits until the page has collected enough; what was judged before the stage was stopped still counts.

    Raises: UserError if the page ends before that; KeyboardInterrupt on Ctrl-C, after the page has ended too.
    """
    file = layout.judged(run.folder)
    if not file.is_file():
        write_records(run.folder / layout.COMPARISONS, comparisons)
        given = {text.partition("=")[0] for text in config.page}
        settings = [f"{k}={v}" for k, v in {"pairs_per_prompt": 1, "enough": config.enough}.items() if k not in given]
        command = [sys.executable, *COMMAND, str(run.folder), *settings, *config.page]
        page = subprocess.Popen(
            command, start_new_session=True
        )  # Ctrl-C reaches this stage alone, which then ends the page
        try:
            while not file.is_file():
                run.stop_if_interrupted()
                code = page.poll()
                if code is not None and not file.is_file():
                    raise UserError(
                        f"{run.folder}: the page ended (exit code {code}) before enough was judged; what it said is "
                        "above. "
                        "Mend that and type the same command again: nothing judged is lost."
                    )
                time.sleep(LOOK_EVERY)
        finally:
            _end(page)
    known = {comparison.id for comparison in comparisons}
    judgements = read_records(file, Judgement)
    strange = next((j for j in judgements if j.comparison not in known), None)
    if strange is not None:
        raise UserError(
            f"{file}: judgement {strange.id} is about {strange.comparison}, which is not among comparisons.jsonl. Is "
            "it another run's?"
        )
    return judgements


def _end(page: subprocess.Popen[bytes]) -> None:
    page.terminate()
    try:
        page.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        page.kill()
        page.wait()
