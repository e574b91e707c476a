"""Rules of safety, by the attack or the accident that they are there for: the way to the instances and the quarantine."""

from __future__ import annotations

import os

import pytest

from gpuctl_host.leftovers.folder import INSTANCES
from tests.unit.leftovers.kit import QUARANTINE, ask, read, tree, write


def test_a_link_of_another_user_on_the_way_is_refused(root, host):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.symlink("/var/lib/nova", f"{root}/var/lib/elsewhere")
    document, code = ask(host, phase="plan", instances_path="/var/lib/elsewhere/instances")
    assert (code, document["instances_path"]) == (0, INSTANCES)  # root's own link is taken
    os.lchown(f"{root}/var/lib/elsewhere", 4242, 4242)
    document, code = ask(host, phase="plan", instances_path="/var/lib/elsewhere/instances")
    assert (document["code"], code) == ("refused", 3)


def test_a_relative_link_of_another_user_on_the_way_is_refused(root, host):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.symlink("nova", f"{root}/var/lib/elsewhere")
    assert ask(host, phase="plan", instances_path="/var/lib/elsewhere/instances")[1] == 0
    os.lchown(f"{root}/var/lib/elsewhere", 4242, 4242)
    document, code = ask(host, phase="plan", instances_path="/var/lib/elsewhere/instances")
    assert (document["code"], code) == ("refused", 3)


def test_links_that_run_in_a_circle_end(root, host):
    os.symlink("/var/lib/b", f"{root}/var/lib/a")
    os.symlink("/var/lib/a", f"{root}/var/lib/b")
    document, code = ask(host, phase="plan", instances_path="/var/lib/a/instances")
    assert (document["code"], code) == ("refused", 3)


def test_a_folder_that_everybody_may_write_is_refused(root, host):
    os.chmod(f"{root}/var/lib/nova", 0o777)
    document, code = ask(host, phase="plan")
    assert (document["code"], code) == ("refused", 3)
    os.chmod(f"{root}/var/lib/nova", 0o1777)
    assert ask(host, phase="plan")[1] == 0


def test_instances_of_another_user_are_refused(root, host):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(f"{root}{INSTANCES}", 4242, 4242)
    assert ask(host, phase="plan")[0]["code"] == "refused"
    write(root, "/etc/passwd", "root:x:0:0::/:/bin/sh\nnova:x:4242:4242::/var/lib/nova:/bin/false\n")
    assert ask(host, phase="plan")[1] == 0


@pytest.mark.parametrize("trap", ["link", "mode", "owner", "file"])
def test_a_quarantine_that_somebody_laid_out_is_refused(root, host, tmp_path, trap):
    place = f"{root}{INSTANCES}/{QUARANTINE}"
    if trap == "link":
        os.symlink(tmp_path / "canary", place)
    elif trap == "file":
        write("", place, "x")
    else:
        os.mkdir(place, 0o700)
        if trap == "mode":
            os.chmod(place, 0o770)
        elif os.geteuid() == 0:
            os.chown(place, 4242, 4242)
        else:
            pytest.skip("only root can give files away")
    before = tree(root)
    for phase in ("plan", "purge"):
        document, code = ask(host, phase=phase, older_than_s=0)
        assert (document["code"], code) == ("refused", 3)
    assert tree(root) == before
    assert read(tmp_path / "canary/precious") == "alive\n"
