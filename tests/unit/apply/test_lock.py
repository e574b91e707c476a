"""Two at once: real processes, real locks."""

from __future__ import annotations

import os
import signal
import time
import warnings

import pytest

from gpuctl_host.apply.lock import held, read_holder
from gpuctl_host.apply.recover import recover
from gpuctl_host.errors import LockHeld

from .plans import file_changes, plan_of, prepare, restore
from .toy import ToyHost


def child(work):
    """Run ``work`` in a child; return its pid and a pipe that it writes to when it is ready."""
    ready, tell = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid == 0:
        try:
            work(tell)
        finally:
            os._exit(0)
    os.close(tell)
    os.read(ready, 1)
    os.close(ready)
    return pid


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def hold(root, verb="prepare"):
    def work(tell):
        with held(ToyHost(root), verb):
            os.write(tell, b"x")
            time.sleep(60)

    return child(work)


def test_the_second_is_told_who_the_first_is(root):
    pid = hold(root)
    try:
        with pytest.raises(LockHeld, match=rf"process {pid} \(prepare\) since 20") as caught:
            prepare(ToyHost(root), plan_of(*file_changes(root)))
        assert caught.value.exit_code == 75
        with pytest.raises(LockHeld):
            restore_with_run(root)
    finally:
        end(pid)


def restore_with_run(root):
    restore(ToyHost(root))


def test_a_killed_holder_blocks_nobody(root):
    end(hold(root))
    assert read_holder(ToyHost(root)) is not None  # its name is still there
    assert prepare(ToyHost(root), plan_of(*file_changes(root))).error is None


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\0", b"1 prepare", b"{}", b'{"pid": "x"}', b"[" * 5000, b'{"pid": 99999999999999999999}']
)
def test_any_content_may_stand_there(root, content):
    os.makedirs(root + "/run/gpuctl", exist_ok=True)
    with open(root + "/run/gpuctl/lock", "wb") as file:
        file.write(content)
    assert read_holder(ToyHost(root)) is None
    with held(ToyHost(root), "prepare"):
        holder = read_holder(ToyHost(root))
        assert holder is not None and holder.pid == os.getpid()


def test_a_child_that_hangs_does_not_keep_it(root):
    with held(ToyHost(root), "prepare"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
    try:
        with held(ToyHost(root), "restore"):
            pass
    finally:
        end(pid)


def test_a_hanging_child_of_a_killed_holder_is_named_as_such(root):
    def work(tell):
        with held(ToyHost(root), "prepare"):
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            os.write(tell, str(pid).encode())
            time.sleep(60)

    ready, tell = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid == 0:
        work(tell)
        os._exit(0)
    grandchild = int(os.read(ready, 20))
    end(pid)
    try:
        with pytest.raises(LockHeld, match=f"a child of gpuctl's process {pid} "):
            prepare(ToyHost(root), plan_of(*file_changes(root)))
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_ten_at_once_one_at_a_time(root):
    """Each of ten processes counts in a file, with a pause between reading and writing: no count is lost."""
    count = root + "/count"
    with open(count, "w") as file:
        file.write("0")

    def work(tell):
        os.write(tell, b"x")
        while True:
            try:
                with held(ToyHost(root), "prepare"):
                    with open(count) as file:
                        value = int(file.read())
                    time.sleep(0.005)
                    with open(count, "w") as file:
                        file.write(str(value + 1))
                    return
            except LockHeld:
                time.sleep(0.005)

    for pid in [child(work) for _ in range(10)]:
        os.waitpid(pid, 0)
    with open(count) as file:
        assert file.read() == "10"


def test_reading_needs_no_lock(root):
    pid = hold(root)
    try:
        assert recover(ToyHost(root)) == ()
    finally:
        end(pid)
