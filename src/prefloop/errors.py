"""What can go wrong in a way that the user can mend: one sentence."""


class UserError(Exception):
    """A sentence for the user: what went wrong, where (file:line), what was found, and what to type instead.

    The command line prints the sentence without a traceback and exits with code 2.
    """


class Diverged(UserError):
    """A run's numbers have gone wrong in training; run.json says what went first, and the exit code is 3."""


class RowRefused(UserError):
    """A conversation that a model's chat template does not take; whoever knows the file says which row it is."""

    messages: tuple[object, ...] = ()
    """The conversation."""
