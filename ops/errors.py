"""The one error a person at the command line sees: a sentence that says what to do."""


class OperatorError(Exception):
    """Something only the operator can put right; its text is one sentence that says what to do."""
