"""The early script, run for real by each shell that an image may have, on a tree that looks like /sys."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gpuctl_host.templates import cards, render_script
from tests.unit.boot.build import AUDIO, GPU, put

SHELLS = {
    "dash": ["dash"],
    "bash": ["bash", "--posix"],
    "busybox": ["busybox", "sh"],
    "klibc": ["/usr/lib/klibc/bin/sh"],
}


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> list[str]:
    argv = SHELLS[request.param]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"no {request.param} here")
    return argv


class Tree:
    """A folder with devices; writes land in the files, as nothing reacts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bus = root / "sys/bus/pci"
        (self.bus / "drivers").mkdir(parents=True)
        (self.bus / "drivers_probe").touch()
        put(root, {"proc/cmdline": "ro quiet\n", "etc/gpuctl/cards": cards.render_record((GPU, AUDIO))})
        (root / "kmsg").touch()
        for card in (GPU, AUDIO):
            self.device(card.address, card.vendor_id, card.device_id, card.subsystem_vendor, card.subsystem_device)
        put(root, {"bin/modprobe*": f'#!/bin/sh\necho "$@" >>"{root}/modprobe.log"\n'})

    def device(self, address: str, *ids: str) -> Path:
        folder = self.bus / "devices" / address
        names = ("vendor", "device", "subsystem_vendor", "subsystem_device")
        put(folder, {name: f"0x{value}\n" for name, value in zip(names, ids)})
        put(folder, {"driver_override": "(null)\n", "remove": ""})
        return folder

    def bind(self, address: str, driver: str) -> None:
        folder = self.bus / "drivers" / driver
        folder.mkdir(exist_ok=True)
        (folder / "unbind").touch()
        (folder / address).symlink_to(self.bus / "devices" / address)
        (self.bus / "devices" / address / "driver").symlink_to(folder)

    def run(self, shell: list[str], *words: str, sourced: bool = False) -> subprocess.CompletedProcess[str]:
        script = self.root / "early"
        script.write_text(render_script("early.sh"), encoding="utf-8")
        argv = (
            [*shell, "-c", f'. {script}; echo "after:$?:${{drivers-unset}}"', "x"]
            if sourced
            else [*shell, str(script), *words]
        )
        environment = {
            "PATH": f"{self.root}/bin:/usr/bin:/bin",
            "GPUCTL_SYS": f"{self.root}/sys",
            "GPUCTL_PROC": f"{self.root}/proc",
            "GPUCTL_RECORD": f"{self.root}/etc/gpuctl/cards",
            "GPUCTL_KMSG": f"{self.root}/kmsg",
        }
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=20, check=False)

    def read(self, name: str) -> str:
        path = self.root / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def attribute(self, address: str, name: str) -> str:
        return self.read(f"sys/bus/pci/devices/{address}/{name}").strip()

    @property
    def log(self) -> str:
        return self.read("kmsg")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_prerequisites_are_none(tree: Tree, shell: list[str]) -> None:
    answer = tree.run(shell, "prereqs")
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, "", "")
    assert tree.attribute(GPU.address, "driver_override") == "(null)"


def test_override_module_probe_and_remove(tree: Tree, shell: list[str]) -> None:
    answer = tree.run(shell)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert tree.attribute(GPU.address, "driver_override") == "vfio-pci"
    assert tree.read("modprobe.log") == "vfio-pci\n"
    assert tree.read("sys/bus/pci/drivers_probe") == f"{GPU.address}\n"
    assert tree.attribute(AUDIO.address, "remove") == "1"
    assert f"gpuctl: {AUDIO.address} removed" in tree.log
    assert tree.attribute(AUDIO.address, "driver_override") == "(null)"


@pytest.mark.parametrize("name", ["vendor", "device", "subsystem_vendor", "subsystem_device"])
def test_another_card_at_the_address_is_left_alone(tree: Tree, shell: list[str], name: str) -> None:
    """Trap 3: addresses move; whatever is there now, it is not what was prepared."""
    (tree.bus / "devices" / GPU.address / name).write_text("0x1234\n")
    tree.run(shell)
    assert tree.attribute(GPU.address, "driver_override") == "(null)"
    assert tree.read("sys/bus/pci/drivers_probe") == ""
    assert tree.read("modprobe.log") == ""
    assert f"gpuctl: {GPU.address} is not the card that was prepared" in tree.log
    assert tree.attribute(AUDIO.address, "remove") == "1"  # the other function is still itself


def test_a_card_that_is_gone_is_named(tree: Tree, shell: list[str]) -> None:
    shutil.rmtree(tree.bus / "devices" / GPU.address)
    assert tree.run(shell).returncode == 0
    assert f"{GPU.address} is absent" in tree.log


def test_a_driver_that_was_first_is_relieved(tree: Tree, shell: list[str]) -> None:
    tree.bind(GPU.address, "nouveau")
    tree.run(shell)
    for _ in range(100):
        if GPU.address in tree.read("sys/bus/pci/drivers/nouveau/unbind"):
            break
        subprocess.run(["sleep", "0.05"], check=True)
    assert tree.read("sys/bus/pci/drivers/nouveau/unbind") == f"{GPU.address}\n"


def test_an_unbind_that_hangs_does_not_stop_the_boot(tree: Tree, shell: list[str]) -> None:
    """Trap 59: a fifo without a reader blocks its writer as a busy device does."""
    tree.bind(GPU.address, "nouveau")
    unbind = tree.bus / "drivers/nouveau/unbind"
    unbind.unlink()
    os.mkfifo(unbind)
    script = subprocess.Popen(
        [*shell, "-c", "exit 0"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    script.wait(5)
    early = tree.root / "early"
    early.write_text(render_script("early.sh"), encoding="utf-8")
    environment = {
        "PATH": f"{tree.root}/bin:/usr/bin:/bin",
        "GPUCTL_SYS": f"{tree.root}/sys",
        "GPUCTL_PROC": f"{tree.root}/proc",
        "GPUCTL_RECORD": f"{tree.root}/etc/gpuctl/cards",
        "GPUCTL_KMSG": f"{tree.root}/kmsg",
    }
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen([*shell, str(early)], env=environment, **quiet)  # type: ignore[call-overload]
    assert running.wait(10) == 0
    reader = os.open(unbind, os.O_RDONLY | os.O_NONBLOCK)  # lets the writer go
    for _ in range(100):
        try:
            data = os.read(reader, 100)
        except BlockingIOError:
            data = b""
        if data:
            break
        subprocess.run(["sleep", "0.05"], check=True)
    os.close(reader)
    assert data == f"{GPU.address}\n".encode()


def test_what_is_bound_already_is_left(tree: Tree, shell: list[str]) -> None:
    tree.bind(GPU.address, "vfio-pci")
    tree.run(shell)
    assert tree.read("sys/bus/pci/drivers/vfio-pci/unbind") == ""
    assert tree.read("modprobe.log") == ""  # the driver is there: built in, or loaded
    assert f"gpuctl: {GPU.address} on vfio-pci" in tree.log


@pytest.mark.parametrize(
    "files", [{"proc/cmdline": "ro gpuctl=off quiet\n"}, {"proc/vmcore": ""}], ids=["gpuctl=off", "crash kernel"]
)
def test_it_can_be_switched_off(tree: Tree, shell: list[str], files: dict[str, str]) -> None:
    put(tree.root, files)
    assert tree.run(shell).returncode == 0
    assert tree.attribute(GPU.address, "driver_override") == "(null)"
    assert tree.attribute(AUDIO.address, "remove") == ""


def test_without_a_record_nothing_happens(tree: Tree, shell: list[str]) -> None:
    (tree.root / "etc/gpuctl/cards").unlink()
    answer = tree.run(shell)
    assert (answer.returncode, answer.stderr, tree.log) == (0, "", "")


def test_dracut_sources_it_and_loses_nothing(tree: Tree, shell: list[str]) -> None:
    answer = tree.run(shell, sourced=True)
    assert answer.stdout == "after:0:unset\n"
    assert tree.attribute(GPU.address, "driver_override") == "vfio-pci"


def test_a_module_that_cannot_be_loaded_is_named(tree: Tree, shell: list[str]) -> None:
    put(tree.root, {"bin/modprobe*": "#!/bin/sh\nexit 1\n"})
    assert tree.run(shell).returncode == 0
    assert "gpuctl: vfio-pci could not be loaded" in tree.log
    assert tree.attribute(GPU.address, "driver_override") == "vfio-pci"  # so that at least nobody else takes it


@pytest.mark.parametrize(
    "text", ["garbage\n", "0000:01:00.0\n", "\n\n# only this\n", "0000:01:00.0 10de 1b80 10de 119e nuke - /x"]
)
def test_a_damaged_record_does_no_harm(tree: Tree, shell: list[str], text: str) -> None:
    put(tree.root, {"etc/gpuctl/cards": text})
    assert tree.run(shell).returncode == 0
    assert tree.attribute(GPU.address, "driver_override") == "(null)"
    assert tree.attribute(GPU.address, "remove") == ""


@pytest.mark.parametrize("name", ["early.sh", "initramfs-hook.sh"])
def test_every_shell_parses_it(tmp_path: Path, shell: list[str], name: str) -> None:
    script = tmp_path / name
    script.write_text(render_script(name), encoding="utf-8")
    subprocess.run([*shell, "-n", str(script)], check=True)
