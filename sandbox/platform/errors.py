"""Errors as AWS words them."""


class AwsError(Exception):
    """An error answer: its code, message and HTTP status. `calls.Call.error` writes it for a protocol."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.principal: str | None = None
        """Who was refused, where that is known; for the API log."""


def validation_error(message: str) -> AwsError:
    """ELBv2's answer to parameters that cannot be right."""
    return AwsError("ValidationError", message)
