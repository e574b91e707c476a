"""Phase smoke: one small server of each model, by `gpuctl flavor verify`; it proves flavor, alias and host at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.cloud import Rejected
from gpuctl.flavors.model import ALIAS
from gpuctl.flavors.verify import Verifier, failure, smallest_image
from gpuctl.up.phase import DONE, FAILED, PART, WAITING, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.flavors.api import FlavorApi
    from gpuctl.flavors.diff import Step
    from gpuctl.flavors.model import Standing
    from gpuctl.flavors.verify import Proof
    from gpuctl.up.wish import Means, UpWish

POLL = 10.0  # seconds
# Nova looks an alias up when a server is made, and only then (facts: nova.md section 4; HTTP 400).
_UNKNOWN = "is not defined"


def choose(flavors: Sequence[Standing]) -> list[Standing]:
    """Return the smallest flavor of each model: what is asked for, whatever the count."""
    smallest: dict[str, Standing] = {}
    for one in sorted(flavors, key=lambda one: (_cards(one), one.ram, one.name)):
        if ALIAS in one.specs:
            smallest.setdefault(_aliases(one.specs[ALIAS]), one)
    return list(smallest.values())


def _aliases(spec: str) -> str:
    """Return the names in an alias' extra spec, sorted: a1:2,b:1 is a1,b."""
    return ",".join(sorted(part.partition(":")[0].strip() for part in spec.split(",")))


def models_of(steps: Sequence[Step]) -> list[str]:
    """Return the models that a server would be booted of, by alias."""
    specs = [step.wanted.specs[ALIAS] for step in steps if step.wanted and ALIAS in step.wanted.specs]
    return list(dict.fromkeys(_aliases(spec) for spec in specs))


def _cards(flavor: Standing) -> int:
    counts = (part.rpartition(":")[2].strip() for part in flavor.specs.get(ALIAS, "").split(",") if part)
    return sum(int(count) for count in counts if count.isdigit())


def prove(wish: UpWish, means: Means, api: FlavorApi, flavors: Sequence[Standing]) -> Outcome:
    """Return what a server of each showed; every server is gone again.

    Raises:
        CloudError: the cloud would not let us.
        HalfMade: a server could not be deleted.
    """
    verifier = Verifier(
        api.nova,
        api.newest,
        wish.image or smallest_image(means.cloud.service("image")),
        means.cloud.service("placement"),
        wish.network,
        told=lambda text, done, total: means.show({"text": f"smoke server: {text}", "done": done, "total": total}),
    )
    lines, good, waiting, fix = [], 0, 0, ""
    for flavor in flavors:
        try:
            proof = _accepted(wish, means, verifier, flavor)
        except Rejected as error:
            if _UNKNOWN not in error.text:
                raise
            waiting += 1
            lines.append(f"{flavor.name}: {error.text}")
            fix = fix or f"lay down what is in {wish.folder}, restart the services it names, run this again"
            continue
        seconds = ", ".join(f"{name} {took:.0f} s" for name, took in proof.steps)
        if proof.good:
            good += 1
            lines.append(f"{flavor.name}: had its {proof.wanted} cards on {proof.host}; {seconds}")
        else:
            wrong = failure(proof)
            lines.append(f"{wrong.brief}{f': {wrong.details}' if wrong.details else ''}; {seconds}")
            fix = wrong.resolution or fix
    if good == len(flavors):
        return Outcome(DONE, tuple(lines))
    failed = len(flavors) - good - waiting
    state = PART if good else WAITING if not failed else FAILED
    return Outcome(state, tuple(lines), fix, 1 if failed and not good else 5)


def _accepted(wish: UpWish, means: Means, verifier: Verifier, flavor: Standing) -> Proof:
    """Return the proof; as long as the API does not know the alias, it is asked again: nothing was made then."""
    waited = 0.0
    while True:
        try:
            return verifier.prove(flavor)
        except Rejected as error:
            if _UNKNOWN not in error.text or waited >= wish.wait or wish.control is not None:
                raise
        means.show({"text": "waiting until Nova's API knows the alias", "done": 0, "total": 0})
        means.pause(POLL)
        waited += POLL
