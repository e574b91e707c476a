"""apply_plan and apply_restore, end to end on the toy host."""

from __future__ import annotations

import json
import os
import signal

import pytest

from gpuctl_host.apply.history import read_history, run_diff
from gpuctl_host.apply.journal import read_runs
from gpuctl_host.apply.restore import plan_restore
from gpuctl_host.changes.model import BIND, GENERATED, Change
from gpuctl_host.data import changed
from gpuctl_host.errors import Interrupted, KernelRefused, KernelStuck, Refused, StalePlan

from .plans import META, file_change, file_changes, generated_changes, live_changes, plan_of, prepare, restore
from .toy import AUDIO, GPU, KERNELS, ToyHost, facts_of
from .trees import read, tree, write


def full_plan(root, word="one"):
    return plan_of(*file_changes(root, word), *generated_changes(), *live_changes())


def test_prepare_then_restore_is_the_host_as_it_was(root):
    host, before = ToyHost(root), tree(root)
    outcome = prepare(host, full_plan(root))
    assert outcome.error is None and outcome.exit_code == 0
    assert len(outcome.done) == 6 + 3 + 5
    assert host.driver(GPU) == "vfio-pci" and host.driver(AUDIO) is None
    assert read(root, "/etc/default/grub") == b"GRUB_CMDLINE_LINUX_DEFAULT=one\n"
    assert os.readlink(root + "/etc/alias") == "elsewhere-one"
    outcome = restore(host)
    assert outcome.error is None and outcome.exit_code == 0 and not outcome.kept
    after = tree(root)
    for path in [path for path in after if path.startswith(("/sys/module/vfio", "/sys/bus/pci/drivers/vfio"))]:
        del after[path]  # a loaded module stays
    assert after == before
    assert not os.path.exists(root + "/var/lib/gpuctl/manifest.json")
    assert [(item.verb, item.state) for item in read_history(host)] == [("prepare", "undone"), ("restore", "done")]


def test_a_second_restore_finds_nothing(root):
    host = ToyHost(root)
    prepare(host, full_plan(root))
    restore(host)
    before = tree(root, ())
    assert restore(host).run is None
    assert {path for path, value in tree(root, ()).items() if before.get(path) != value} <= {"/run/gpuctl/lock"}


def test_three_prepares_are_taken_back_together(root):
    host, before = ToyHost(root, live=False), tree(root)
    for word in ("one", "two", "three"):
        assert prepare(host, plan_of(*file_changes(root, word))).exit_code == 0
    assert restore(host).error is None
    assert tree(root) == before


def test_runs_are_taken_back_one_by_one_from_the_last(root):
    host = ToyHost(root, live=False)
    trees = [tree(root)]
    for word in ("one", "two", "three"):
        prepare(host, plan_of(*file_changes(root, word)))
        trees.append(tree(root))
    runs = [run.id for run in read_runs(host)]
    with pytest.raises(Refused, match=runs[1]):
        restore(host, run=runs[0])
    for number in (2, 1, 0):
        restore(host, run=runs[number])
        assert tree(root) == trees[number]


def test_what_somebody_else_changed_is_kept(root):
    host = ToyHost(root, live=False)
    prepare(host, plan_of(*file_changes(root)))
    run = read_runs(host)[0].id
    write(root, "/etc/gpuctl/cards", "edited by hand\n")  # was absent before: moved away
    write(root, "/etc/default/grub", "a package's\n")  # was there before: stays
    outcome = restore(host)
    assert outcome.exit_code == 5 and len(outcome.kept) == 2
    assert not os.path.exists(root + "/etc/gpuctl")
    assert read(root, f"/var/lib/gpuctl/kept/{run}/etc/gpuctl/cards") == b"edited by hand\n"
    assert read(root, "/etc/default/grub") == b"a package's\n"
    assert read(root, f"/var/lib/gpuctl/kept/{run}/etc/default/grub") == b"GRUB_CMDLINE_LINUX_DEFAULT=quiet\n"
    assert restore(host).run is None


def test_an_edit_between_two_runs_comes_back(root):
    host = ToyHost(root, live=False)
    prepare(host, plan_of(file_change(root, "/etc/default/grub", "one\n")))
    write(root, "/etc/default/grub", "edited\n")
    prepare(host, plan_of(file_change(root, "/etc/default/grub", "two\n")))
    outcome = restore(host)
    assert read(root, "/etc/default/grub") == b"edited\n"
    assert outcome.exit_code == 5


def test_an_image_made_anew_by_somebody_else_is_made_again(root):
    host, before = ToyHost(root), tree(root)
    prepare(host, plan_of(*file_changes(root), *generated_changes()))
    write(root, f"/boot/initrd.img-{KERNELS[0]}", "made by apt\n", 0o600)
    os.unlink(root + f"/boot/initrd.img-{KERNELS[1]}")  # the kernel was removed
    host.calls.clear()
    outcome = restore(host)
    assert outcome.error is None
    assert [call for call in host.calls if call[0].startswith("mk")] == [("mkinit", KERNELS[0])]
    after = tree(root)
    assert not os.path.exists(root + f"/boot/initrd.img-{KERNELS[1]}")
    assert {path for path in before if before[path] != after.get(path)} == {
        f"/boot/initrd.img-{kernel}" for kernel in KERNELS
    }


def test_a_failing_command_takes_the_run_back(root):
    host, before = ToyHost(root), tree(root)
    bad = Change(GENERATED, "bad", None, None, "a test", paths=("/boot/grub/grub.cfg",), argv=("broken",), timeout=5)
    outcome = prepare(host, plan_of(*file_changes(root), *generated_changes(), bad))
    assert outcome.failed is bad and outcome.exit_code == 1 and "exit status 3" in (outcome.error or "")
    assert tree(root) == before and not outcome.problems
    assert [item.state for item in read_history(host)] == ["undone"]


def test_a_command_that_lies_is_found_out(root):
    host, before = ToyHost(root), tree(root)
    bad = Change(
        GENERATED,
        "bad",
        None,
        None,
        "a test",
        paths=(f"/boot/initrd.img-{KERNELS[0]}",),
        argv=("lies", KERNELS[0]),
        timeout=5,
    )
    outcome = prepare(host, plan_of(*file_changes(root), bad))
    assert "empty" in (outcome.error or "") and tree(root) == before


def test_a_driver_that_refuses_the_card_takes_the_run_back(root):
    host, before = ToyHost(root), tree(root)
    host.deaf.add("vfio-pci")
    outcome = prepare(host, plan_of(*file_changes(root), *live_changes()))
    assert outcome.failed is not None and outcome.failed.kind == BIND
    assert host.driver(GPU) == "nouveau" and not outcome.problems
    after = tree(root)
    assert {path for path in after if path not in before} <= {"/sys/module/vfio_pci", "/sys/bus/pci/drivers/vfio-pci"}


def test_a_stuck_unbind_is_reported_and_the_card_left_alone(root):
    host, before = ToyHost(root), tree(root)
    host.refuse["/unbind"] = KernelStuck("the kernel did not answer")
    outcome = prepare(host, plan_of(*file_changes(root), *live_changes()))
    assert outcome.exit_code == 1 and any(GPU in problem for problem in outcome.problems)
    last = max(n for n, (path, _) in enumerate(host.pokes) if path.endswith("/unbind"))
    assert not [path for path, _ in host.pokes[last + 1 :] if GPU in path]
    after = tree(root)
    changed_paths = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert all(path.startswith("/sys/") for path in changed_paths)
    assert read_history(host)[0].state == "failed"


def test_override_is_cleared_with_a_newline(root):
    host = ToyHost(root)
    prepare(host, plan_of(*live_changes()))
    restore(host)
    assert ("/sys/bus/pci/devices/0000:01:00.0/driver_override", "\n") in host.pokes


def test_a_card_in_use_waits_for_the_reboot(root):
    from gpuctl_host.facts.model import Holder

    host = ToyHost(root)
    prepare(host, full_plan(root))
    outcome = restore(host, holders=(Holder("domain", "domain vm-3"),))
    assert outcome.exit_code == 4 and "vm-3" in outcome.needs_reboot[0]
    assert host.driver(GPU) == "vfio-pci" and not os.path.exists(root + "/etc/gpuctl")


def test_a_live_step_that_fails_in_a_restore_waits_for_the_reboot(root):
    host = ToyHost(root)
    prepare(host, full_plan(root))
    host.refuse["/unbind"] = KernelRefused("busy", errno=16)
    outcome = restore(host)
    assert outcome.exit_code == 4 and outcome.error is None
    assert read_history(host)[0].state == "undone"


def test_another_card_at_the_address_is_refused(root):
    host = ToyHost(root)
    write(root, f"/sys/devices/pci0000:00/0000:00:02.0/{GPU}/device", "0x2204\n")
    outcome = prepare(host, plan_of(*live_changes()))
    assert "not the card" in (outcome.error or "") and host.driver(GPU) == "nouveau"


def test_on_a_tree_only_files_are_written(root):
    host = ToyHost(root, live=False)
    outcome = prepare(host, full_plan(root))
    assert outcome.exit_code == 4 and len(outcome.done) == 6 and len(outcome.pending) == 8
    assert not host.calls and not host.pokes


def test_a_stale_plan_touches_nothing(root):
    host, before = ToyHost(root), tree(root)
    plan = full_plan(root)
    write(root, "/etc/default/grub", "changed meanwhile\n")
    with pytest.raises(StalePlan):
        prepare(host, plan)
    write(root, "/etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n")
    from gpuctl_host.apply.executor import apply_plan

    with pytest.raises(StalePlan):
        apply_plan(host, plan, meta=META, reread=lambda: "0" * 64)
    assert tree(root) == before and not read_runs(host)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_between_two_steps(root, number):
    from gpuctl_host.apply.executor import apply_plan

    host, before = ToyHost(root), tree(root)
    seen = []

    def tell(progress):
        seen.append(progress)
        if progress.stage == "do" and progress.n == 4:
            os.kill(os.getpid(), number)

    handler = signal.getsignal(number)
    with pytest.raises(Interrupted):
        apply_plan(host, full_plan(root), meta=META, progress=tell)
    assert signal.getsignal(number) is handler
    assert max(item.n for item in seen if item.stage == "do") == 4
    assert tree(root) == before and read_history(host)[0].state == "undone"


def test_the_manifest_and_the_audit_log(root):
    host = ToyHost(root)
    outcome = prepare(host, full_plan(root))
    manifest = json.loads(read(root, "/var/lib/gpuctl/manifest.json"))
    assert manifest["run"] == outcome.run and len(manifest["cards"]) == 2
    assert "/etc/gpuctl/cards" in manifest["files"] and "/etc/modprobe.d/old.conf" not in manifest["files"]
    restore(host)
    lines = [json.loads(line) for line in read(root, "/var/log/gpuctl/audit.jsonl").splitlines()]
    assert [(line["verb"], line["result"], line["sudo_user"]) for line in lines] == [
        ("prepare", "done", "alice"),
        ("restore", "done", "alice"),
    ]


def test_big_before_images_go_once_they_are_not_needed(root):
    host = ToyHost(root)
    prepare(host, full_plan(root))
    blobs = len(os.listdir(root + "/var/lib/gpuctl/blobs"))
    restore(host)
    assert blobs - len(os.listdir(root + "/var/lib/gpuctl/blobs")) == 3


def test_the_diff_of_a_run(root):
    host = ToyHost(root)
    outcome = prepare(host, full_plan(root))
    shown = run_diff(host, outcome.run or "")
    assert "-GRUB_CMDLINE_LINUX_DEFAULT=quiet\n+GRUB_CMDLINE_LINUX_DEFAULT=one\n" in shown
    assert "--- /dev/null\n+++ b/etc/gpuctl/cards\n" in shown and f"bind {GPU}: - -> vfio-pci (done)" in shown
    restore(host)
    assert run_diff(host, outcome.run or "") == shown


def test_nothing_to_do_leaves_nothing(root):
    host, before = ToyHost(root), tree(root)
    assert prepare(host, plan_of()).run is None
    assert tree(root) == before and not os.path.exists(root + "/var/lib/gpuctl")


def test_a_plan_with_refusals_is_refused(root):
    from gpuctl_host.changes.model import Refusal

    with pytest.raises(Refused):
        prepare(ToyHost(root), changed(full_plan(root), refusals=(Refusal("gpu-in-use", GPU, "held", "stop it"),)))


def test_modes_survive_a_tight_umask(root):
    previous = os.umask(0o077)
    try:
        prepare(ToyHost(root), plan_of(*file_changes(root)))
    finally:
        os.umask(previous)
    assert os.stat(root + "/etc/gpuctl").st_mode & 0o777 == 0o755
    assert os.stat(root + "/etc/gpuctl/cards").st_mode & 0o777 == 0o644


def test_after_a_reboot_the_running_kernel_still_has_the_arguments(root):
    host = ToyHost(root)
    plan = plan_of(*file_changes(root))
    prepare(host, changed(plan, wish=changed(plan.wish, arguments=("intel_iommu=on",))))
    assert restore_plan(host, boot_id="b00t", cmdline=("intel_iommu=on",)).reboot == ()
    assert restore_plan(host, boot_id="another", cmdline=("quiet",)).reboot == ()
    assert "intel_iommu=on" in restore_plan(host, boot_id="another", cmdline=("intel_iommu=on",)).reboot[0]


def restore_plan(host, *, boot_id, cmdline):
    facts = facts_of(host, boot_id=boot_id)
    return plan_restore(host, changed(facts, kernel=changed(facts.kernel, cmdline=cmdline)))


def test_an_image_of_a_later_kernel_loses_our_files_too(root):
    from gpuctl_host.facts.model import Image

    host = ToyHost(root)
    prepare(host, plan_of(*file_changes(root), generated_changes()[0]))
    later = Image("6.1.0-9-amd64", "/boot/initrd.img-6.1.0-9-amd64", None, None, None, {"/etc/gpuctl/cards": "x"})
    plan = plan_restore(host, changed(facts_of(host), images=(later,)))
    (change,) = [item for item in plan.changes if item.kind == GENERATED and item.argv]
    assert change.argv == ("mkinit", "6.1.0-9-amd64") and change.paths == (later.path,)


def test_an_editor_is_run_the_other_way_round(root):
    from gpuctl_host.changes.again import opposite

    assert opposite(("grubby", "--update-kernel=ALL", "--args=a=1 b")) == (
        "grubby",
        "--update-kernel=ALL",
        "--remove-args=a=1 b",
    )
    assert opposite(("pbl", "--add-option", "a=1", "--config")) == ("pbl", "--del-option", "a=1", "--config")
    assert opposite(("update-grub",)) == ("update-grub",)
