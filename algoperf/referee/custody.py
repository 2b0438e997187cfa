"""The trainee while the clock is stopped: it is stopped, too, and what it does all the same is found."""

from algoperf.referee import cpu_time
from algoperf.referee.allowance import Effort
from algoperf.referee.book import Book
from algoperf.referee.ended import Ended
from algoperf.referee.findings import FOR_REVIEW, FORBIDDEN
from algoperf.referee.freeze import Group, Pause, Process
from algoperf.referee.limits import Limits


class Custody:
    """Stops the processes of a trainee and lets them go.

    Args:
      group: of them.
      book: gets findings.
      limits: of processes and memory.
    """

    def __init__(self, group: Group, book: Book, limits: Limits | None = None):
        self._limits = limits
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

    def check_limits(self) -> None:
        """Counts processes and memory from time to time.

        Raises:
          Ended: if there is more than allowed; all of it is stopped then.
        """
        if self._limits is None or not self._limits.is_due():
            return
        text = self._limits.exceeded(self._group.members())
        if text is not None:
            self.stop()
            raise Ended("failed", text)

    def effort(self) -> Effort:
        """Readings of wall clock, processor time and waiting now; see `freeze.Group.effort`."""
        return self._group.effort()

    def waited_sec(self) -> float:
        """How long those that train have waited for a processor so far: that of them which has waited longest."""
        return max(map(cpu_time.waited_sec, self._group.leaders))

    def cpu_sec(self) -> float:
        """Processor time of all of them so far."""
        return self._group.cpu_sec()

    def others_cpu_sec(self) -> float:
        """Of that, what was not used by the processes that train themselves."""
        return self._group.others_cpu_sec()

    def others(self) -> list[Process]:
        """Processes beside those that train."""
        return self._group.others()

    def end(self) -> None:
        """Ends all of them."""
        self._group.kill()
