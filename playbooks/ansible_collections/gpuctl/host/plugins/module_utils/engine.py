# Copyright the gpuctl developers
# SPDX-License-Identifier: Apache-2.0
"""Carries gpuctl's host half (a zipapp) to the host, asks it, and says its answer in Ansible's words.

The archive travels inside the module (plugins/module_utils/archive.py, made when the collection is built): one task is
one round trip, nothing is left on the host, and host half and collection are always of one version.
"""

from __future__ import annotations

import json
import os
import sys

REBOOT, REFUSED = 4, 3
_FILE = "file"


class Engine:
    """The host half, in the module's temporary folder; asked by requests, docs/reference/zipapp.md says which."""

    def __init__(self, module, root):
        """Lay the archive down.

        Args:
            module: the AnsibleModule; ends with fail_json where the host half cannot be asked.
            root: "/" or a tree.
        """
        from ansible_collections.gpuctl.host.plugins.module_utils.archive import archive

        self._module = module
        self._root = root
        self._path = os.path.join(module.tmpdir, "gpuctl-host.pyz")
        with open(self._path, "wb") as file:
            file.write(archive())

    def ask(self, command, **request):
        """Return ``(document, exit code)`` of one request; an error of the host half ends the module with it.

        Args:
            command: facts, check, prepare, restore.
            request: the other keys; None is left out.
        """
        sent = {key: value for key, value in request.items() if value is not None}
        sent.update(command=command, root=self._root)
        code, out, err = self._module.run_command(
            [sys.executable, "-I", "-X", "utf8", self._path], data=json.dumps(sent), encoding="utf-8"
        )
        last = _last_event(out)
        if last is None:
            # An old Python, a killed process: what it said is all there is.
            self._module.fail_json(
                msg=(err or out).strip()[-2000:] or "gpuctl-host.pyz said nothing and exited %d" % code, exit_code=1
            )
        if last["event"] == "error":
            self._module.fail_json(
                msg=sentence(last["brief"], last["details"]),
                code=last["code"],
                resolution=last["resolution"],
                exit_code=last["exit_code"],
                refused=last["exit_code"] == REFUSED,
            )
        return last["document"], last["exit_code"]

    def change(self, verb, fingerprint=None, **request):
        """Plan and, but in check mode, apply that very plan; end the module with what was, or would be, done.

        Args:
            verb: prepare or restore.
            fingerprint: of a plan that was agreed to before; another plan is then refused.
            request: the verb's own keys.
        """
        module = self._module
        plan, code = self.ask(verb, phase="plan", **request)
        notes = []
        if plan.get("unfinished") and not module.check_mode:
            done, _unused = self.ask(verb, phase="recover", **request)
            notes = ["an earlier run was killed half way (%s): taken back" % ", ".join(plan["unfinished"])]
            notes += done["notes"]
            plan, code = self.ask(verb, phase="plan", **request)
        elif plan.get("unfinished"):
            module.warn("a run was killed half way (%s); it is taken back first" % ", ".join(plan["unfinished"]))
        if code == REFUSED:
            self._refuse(plan)
        if fingerprint and fingerprint != plan["fingerprint"]:
            module.fail_json(
                msg="the host has changed since the plan was agreed to; nothing was touched",
                code="stale-plan",
                resolution="plan again: it plans from what is there now",
                exit_code=REFUSED,
                refused=True,
            )
        for text in plan["manual"]:
            module.warn("by hand: %s" % text)
        if module.check_mode:
            module.exit_json(**told(plan, REBOOT if plan["reboot"] else 0, self._root, notes, module._diff))
        result, code = self.ask(verb, phase="apply", fingerprint=plan["fingerprint"], **request)
        if result.get("refusals"):
            self._refuse(result)
        said = told(result, code, self._root, notes, module._diff)
        if code in (0, REBOOT):
            module.exit_json(**said)
        module.fail_json(msg=sentence(result["verdict"], *result["problems"], *result["manual"]), **said)

    def _refuse(self, plan):
        worst = plan["refusals"][0]
        self._module.fail_json(
            msg="refused for safety, nothing was touched: %s (%s): %s"
            % (worst["id"], worst["subject"], worst["evidence"]),
            code="refused",
            resolution=worst["fix"],
            refusals=plan["refusals"],
            host=plan["host"],
            exit_code=REFUSED,
            refused=True,
        )


def told(document, code, root, notes, with_diff):
    """Return a plan or a result in a task's words; both go through here, so that check mode shows what apply does.

    Args:
        document: a gpuctl.host.plan/1 or gpuctl.host.run/1.
        code: its exit code.
        root: "/" or a tree, on which only files are written.
        notes: what was done before.
        with_diff: whether the diff was asked for.
    """
    changes = [dict(change, state=_state(change, root)) for change in document["changes"]]
    moved = [change for change in changes if change["state"] in ("planned", "done")]
    said = {
        "changed": bool(moved),
        "host": document["host"],
        "verb": document["verb"],
        "run": document.get("run"),
        "fingerprint": document["fingerprint"],
        "changes": [{key: value for key, value in one.items() if key not in _BULKY} for one in changes],
        "reboot_required": code == REBOOT,
        "reboot_reasons": document["reboot"],
        "manual": document["manual"],
        "notes": notes + document["notes"],
        "exit_code": code,
        "refused": False,
    }
    for key in ("problems", "verdict", "resolution"):
        if document.get(key):
            said[key] = document[key]
    if with_diff:
        said["diff"] = [{"prepared": _diff(change)} for change in moved]
    return said


_BULKY = ("diff", "argv", "paths")


def _state(change, root):
    """What became, or will become, of a step: on a tree the commands and the kernel's part are pending."""
    if "state" in change:
        return change["state"]
    return "planned" if root == "/" or change["kind"] == _FILE else "pending"


def _diff(change):
    if change["kind"] == _FILE:
        return change["diff"]
    command = " (%s)" % " ".join(change["argv"]) if change.get("argv") else ""
    return "%s %s: %s -> %s%s\n" % (
        change["kind"], change["target"], _shown(change["before"]), _shown(change["after"]), command
    )


def _shown(value):
    return "-" if value is None else value if isinstance(value, str) else "a file"


def sentence(*parts):
    """Return what is said of the parts in one line; empty ones are left out."""
    return "; ".join(part.strip().rstrip(".") for part in parts if part)


def _last_event(text):
    """The result or error that a well-formed answer ends with, or None."""
    lines = text.strip().splitlines()
    try:
        event = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return event if isinstance(event, dict) and event.get("event") in ("result", "error") else None
