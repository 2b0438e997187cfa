"""The trainee while the clock is stopped: it is stopped, too, and what it does all the same is found."""

from algoperf.referee.book import Book
from algoperf.referee.findings import FOR_REVIEW, FORBIDDEN
from algoperf.referee.freeze import Group, Pause, Process


class Custody:
    """Stops the processes of a trainee and lets them go.

    Args:
      group: of them.
      book: gets findings.
    """

    def __init__(self, group: Group, book: Book):
        self._group, self._book = group, book
        self._pause: Pause | None = None
        book.stopped_by = group.method

    def stop(self) -> None:
        """Stops the trainee and all that it has started, if they are not."""
        if self._pause is not None:
            return
        self._pause = self._group.stop()
        if self._pause.moving:
            text = f"{len(self._pause.moving)} processes could not be stopped while the clock was."
            self._book.findings.add("R3.19", FOR_REVIEW, self._book.state.global_step, text)

    def let_go(self) -> None:
        """Lets them run, after a look whether they kept still."""
        if self._pause is None:
            return
        ran_sec = self._group.ran_sec(self._pause)
        if ran_sec:
            text = f"It used {ran_sec:.2f} s of processor time while the clock was stopped."
            self._book.findings.add("R3.19", FORBIDDEN, self._book.state.global_step, text)
        self._pause = None
        self._group.resume()

    def cpu_sec(self) -> float:
        """Processor time of all of them so far."""
        return self._group.cpu_sec()

    def others_cpu_sec(self) -> float:
        """Of that, what was not used by the process that trains itself."""
        return self._group.others_cpu_sec()

    def others(self) -> list[Process]:
        """Processes beside the one that trains."""
        return self._group.others()

    def end(self) -> None:
        """Ends all of them."""
        self._group.kill()
