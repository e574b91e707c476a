"""One class a mistake, each with its exit code: what happened, on what, what to do about it."""

from __future__ import annotations


class GpuctlError(Exception):
    """The base of every error that a person may see.

    Attributes:
        brief: one line: what went wrong, and on what.
        details: what was seen, for whoever has to look deeper; may have several lines.
        resolution: one thing to do now.
        exit_code: the process's exit status (CONTRACT: Exit codes).
    """

    exit_code = 1
    code = "failed"

    def __init__(self, brief: str, *, details: str = "", resolution: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.resolution = resolution


class UsageError(GpuctlError):
    """The request itself is wrong: an unknown option value, a selector that means nothing."""

    exit_code = 2
    code = "usage"


class UnreadableInput(GpuctlError):
    """A file that was named cannot be read or understood."""

    exit_code = 2
    code = "unreadable"


class Refused(GpuctlError):
    """Refused for safety; nothing was touched."""

    exit_code = 3
    code = "refused"


class StalePlan(GpuctlError):
    """The host is no longer as it was when the plan was made; nothing was touched."""

    exit_code = 3
    code = "stale-plan"


class LockHeld(GpuctlError):
    """Another gpuctl works on this host; the message names its pid."""

    exit_code = 75
    code = "locked"


class Interrupted(GpuctlError):
    """Stopped by a signal; what was done is in the journal."""

    exit_code = 130
    code = "interrupted"


class OutsideRoot(GpuctlError):
    """A path, or a link on its way, leads out of the root that was given."""

    exit_code = 2
    code = "outside-root"


class NotLive(GpuctlError):
    """A command or a kernel write was asked of a captured tree: a defect of ours, never a user's."""

    code = "not-live"


class ToolError(GpuctlError):
    """A command of the host is missing, failed or did not end in time."""

    code = "tool"


class KernelRefused(GpuctlError):
    """The kernel answered a write below /sys or /proc with an error."""

    code = "kernel-refused"

    def __init__(self, brief: str, *, errno: int = 0, details: str = "", resolution: str = "") -> None:
        super().__init__(brief, details=details, resolution=resolution)
        self.errno = errno


class KernelStuck(GpuctlError):
    """A write below /sys did not return in time; the child that made it may hang for ever and is left alone."""

    code = "kernel-stuck"


class ReadBackFailed(GpuctlError):
    """What was written is not what is there now."""

    code = "read-back"


class JournalBroken(GpuctlError):
    """The journal cannot be read; nothing was undone from it."""

    code = "journal"
