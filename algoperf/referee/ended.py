"""The end of a refereed trial, as what is raised where it is found out."""


class Ended(Exception):  # noqa: N818 - what has happened
    """The trial is over.

    Args:
      status: one of `records.STATUSES`.
      error: of the submission.
    """

    def __init__(self, status: str, error: str | None = None):
        super().__init__(status)
        self.status, self.error = status, error
