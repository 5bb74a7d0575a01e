"""Settings of `prefloop export merge`."""

from prefloop.config import Config


class MergeConfig(Config):
    """Which adapter is merged, and where the whole model goes."""

    model: str
    """Folder of an adapter (PEFT), as training with adapter=lora writes it, or of the stage that wrote it."""

    out: str
    """Folder for the whole model, new or written by prefloop before."""
