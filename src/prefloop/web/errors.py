"""A refusal: a sentence for whoever asked, with the code and the HTTP status that go with it."""

from prefloop.errors import UserError


class Refusal(UserError):
    """What cannot be done, and why. The API sends `{"error": {"code", "message"}}` with the status."""

    def __init__(self, status: int, code: str, message: str, *, detail: str = "") -> None:
        """Args: detail: the same with what is nobody's business but the server's: the log and the terminal have it."""
        super().__init__(detail or message)
        self.status, self.code, self.message = status, code, message


def missing(what: str) -> Refusal:
    """There is no such thing, or it is not yours: both look alike."""
    return Refusal(404, "not_found", f"There is no such {what} among yours.")


def refuse_unless(condition: bool, message: str, *, code: str = "invalid") -> None:
    """Raises: Refusal (422) with the sentence unless the condition holds."""
    if not condition:
        raise Refusal(422, code, message)
