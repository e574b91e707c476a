"""What a cloud may answer instead of what was asked for: one class a mistake, each with its exit code."""

from __future__ import annotations

from gpuctl.errors import OperatorError

NOT_DONE = (413, 429)
"""Refused before it was looked at: safe to ask again, whatever was asked (413 is how Nova once said 429)."""

LATER = "try again; look at the API's log if it stays so"


class CloudError(OperatorError):
    """What a cloud would not do."""


class NoSuchCloud(CloudError):
    """The configuration names no cloud that can be talked to."""

    exit_code = 2


class Unreachable(CloudError):
    """Nobody answers."""

    exit_code = 6


class NotAuthorised(CloudError):
    """The credentials are wrong, or not enough."""

    exit_code = 6


class Uncertain(CloudError):
    """The answer was lost or an error: it may have been done or not."""


class Rejected(CloudError):
    """The API refused it, with its reason.

    Attributes:
        status: the HTTP status, 400..499.
        text: the API's own words.
    """

    def __init__(self, what: str, status: int, text: str) -> None:
        super().__init__(f"{what}: refused with {status}", details=text)
        self.status = status
        self.text = text


def refusal(what: str, status: int, text: str) -> CloudError:
    """Return the error that a status of 400 and more is."""
    if status == 401:
        return NotAuthorised(
            f"{what}: not authenticated", details=text, resolution="look at the credentials: openstack token issue"
        )
    if status == 403:
        return NotAuthorised(
            f"{what}: not allowed",
            details=text,
            resolution="this is an administrator's to ask: use credentials with that role",
        )
    if status >= 500 or status in NOT_DONE:
        return Uncertain(f"{what}: the API answered {status}", details=text, resolution=LATER)
    return Rejected(what, status, text)


def from_client(what: str, error: Exception) -> CloudError:
    """Return what an error of keystoneauth means."""
    from keystoneauth1 import exceptions

    text = str(error)
    if isinstance(error, (exceptions.Unauthorized, exceptions.Forbidden)):
        return NotAuthorised(
            "the cloud does not take these credentials", details=text, resolution="openstack token issue shows the same"
        )
    if isinstance(error, (exceptions.MissingRequiredOptions, exceptions.MissingAuthPlugin)):
        return NoSuchCloud(
            "the cloud's configuration is not complete", details=text, resolution="look at clouds.yaml or OS_*"
        )
    if isinstance(error, exceptions.ConnectFailure) and any(sign in text for sign in _NEVER_SENT):
        return Unreachable(
            f"{what} cannot be reached", details=text, resolution="is the address right, and the service up?"
        )
    if isinstance(error, (exceptions.EndpointNotFound, exceptions.DiscoveryFailure, exceptions.SSLError)):
        return Unreachable(
            f"{what} cannot be reached", details=text, resolution="look at auth_url, region and interface"
        )
    return Uncertain("the connection broke", details=text, resolution=LATER)


# urllib3's words for a connection that was never made, so that the request cannot have arrived.
_NEVER_SENT = ("NewConnectionError", "Failed to establish", "NameResolutionError", "ConnectTimeoutError")
