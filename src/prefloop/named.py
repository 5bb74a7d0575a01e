"""What `module:name` names: the only place that imports a module by its name."""

import importlib
from typing import Any


def named(name: str) -> Any:
    """The function or class that `module:name` names; its module is imported only now."""
    module, _, attribute = name.partition(":")
    return vars(importlib.import_module(module))[attribute]
