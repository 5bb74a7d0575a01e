"""prefloop closes the preference loop for language models.

Every stage is a function: `prefloop.STAGE.STAGE.train(config)` or its like; `prefloop --help` lists the stages.
This module imports nothing, so that `import prefloop` is instant.
"""

__version__ = "0.2.0"
