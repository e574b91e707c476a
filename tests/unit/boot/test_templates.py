"""The files that are left: deterministic, checked by what will read them."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuctl_host
from gpuctl_host.boot import mkinitcpio
from gpuctl_host.data import changed
from gpuctl_host.errors import Refused
from gpuctl_host.facts.model import Card
from gpuctl_host.templates import cards, grub, modprobe, render_script, udev
from tests.unit.boot.build import AUDIO, GPU, WISH

SHELL = ("early.sh", "initramfs-hook.sh", "dracut-setup.sh", "mkinitcpio-install.sh")


def test_record_is_by_address_and_the_same_each_time() -> None:
    text = cards.render_record((AUDIO, GPU))
    assert text == cards.render_record((GPU, AUDIO))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line.split()[0] for line in lines] == [GPU.address, AUDIO.address]
    assert not re.search(r"20\d\d-?\d\d|run ", text)  # no time, no run id: a second prepare writes nothing


def test_record_is_read_back_by_facts() -> None:
    record = pytest.importorskip("gpuctl_host.facts.record")
    assert record.parse_cards(cards.render_record((GPU, AUDIO))) == (GPU, AUDIO)


@pytest.mark.parametrize(
    "fields",
    [
        {"driver": "vfio-pci; reboot"},
        {"driver": 'x", RUN+="/bin/evil'},
        {"address": "01:00.0"},
        {"vendor_id": "10DE"},
        {"device_id": None},
        {"path": "/sys/$(x)"},
        {"action": "nuke"},
        {"driver": "-"},
    ],
)
def test_what_is_no_identity_goes_nowhere(fields: dict[str, str]) -> None:
    with pytest.raises(Refused):
        cards.render_record((changed(GPU, **fields),))
    with pytest.raises(Refused):
        udev.render_udev_rules((changed(GPU, **fields),))


@pytest.mark.parametrize("address", ["0000:82:00.0", "0008:01:00.0", "10000:e1:00.0"])
def test_any_domain(address: str) -> None:
    """Trap 4: GB200's cards are in domain 0008, VMD's in 10000."""
    assert f'KERNEL=="{address}"' in udev.render_udev_rules((changed(GPU, address=address),))


def test_modprobe_lines_say_why_and_do_something() -> None:
    text = modprobe.render_modprobe(changed(WISH, vfio_options=("disable_idle_d3=1",)), vfio_builtin=False)
    assert text is not None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        assert line.startswith("#") or lines[number - 1].startswith("#")
    assert "ids=" not in text
    assert "options vfio-pci disable_idle_d3=1" in text


def test_modprobe_with_vfio_built_in_has_no_line_that_does_nothing() -> None:
    """Trap 23: softdep and options of a module that is never loaded are ignored."""
    wish = changed(WISH, vfio_options=("disable_idle_d3=1",))
    text = modprobe.render_modprobe(wish, vfio_builtin=True)
    assert text is not None
    assert "softdep" not in text
    assert "options" not in text
    assert modprobe.render_modprobe(changed(wish, blacklist=()), vfio_builtin=True) is None


@given(
    st.lists(st.sampled_from(["intel_iommu=on", "iommu=pt", "vfio-pci.disable_idle_d3=1"]), min_size=1, unique=True),
    st.booleans(),
)
def test_drop_in_is_read_back(arguments: list[str], first: bool) -> None:
    assert grub.read_grub_dropin(grub.render_grub_dropin(arguments, first=first)) == tuple(arguments)


@pytest.mark.parametrize("argument", ['a"b', "a b", "$(x)", "`x`", "a\nb", "a'b", ""])
def test_drop_in_takes_plain_arguments_only(argument: str) -> None:
    with pytest.raises(Refused):
        grub.render_grub_dropin([argument])


def test_dracut_list_has_blanks_around_its_names() -> None:
    """Trap 28."""
    assert '+=" gpuctl "' in render_script("dracut.conf")


def test_scripts_come_out_of_a_zipapp(tmp_path: Path) -> None:
    root = Path(gpuctl_host.__file__).parent
    with zipfile.ZipFile(tmp_path / "x.pyz", "w") as archive:
        for path in root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, f"gpuctl_host/{path.relative_to(root)}")
    code = "import sys; sys.path.insert(0, sys.argv[1]); from gpuctl_host.templates import render_script as r; print(r('early.sh'), end='')"
    import sys

    answer = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path / "x.pyz")], capture_output=True, text=True, check=True
    )
    assert answer.stdout == render_script("early.sh")


@pytest.mark.parametrize("name", ["dracut-setup.sh", "mkinitcpio-install.sh"])
def test_bash_parses_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(render_script(name), encoding="utf-8")
    subprocess.run(["bash", "-n", str(tmp_path / name)], check=True)


@pytest.mark.machine
@pytest.mark.parametrize("name", [*SHELL, "mkinitcpio hook"])
def test_shellcheck_has_nothing_to_say(tmp_path: Path, name: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck here")
    text = (
        render_script(name)
        if name in SHELL
        else next(x.text or "" for x in mkinitcpio.leaves() if x.path == mkinitcpio.SCRIPT)
    )
    (tmp_path / "script").write_text(text, encoding="utf-8")
    dialect = [] if name in SHELL else ["--shell=dash"]
    answer = subprocess.run(
        ["shellcheck", *dialect, str(tmp_path / "script")], capture_output=True, text=True, check=False
    )
    assert answer.stdout == ""


def test_mkinitcpio_runs_it_as_an_early_hook(tmp_path: Path) -> None:
    """Early hooks all run before the udev hook's run_hook triggers the uevents (mkinitcpio's init)."""
    text = next(leave.text or "" for leave in mkinitcpio.leaves() if leave.path == mkinitcpio.SCRIPT)
    (tmp_path / "hook").write_text(text, encoding="utf-8")
    (tmp_path / "cards").write_text(cards.render_record((GPU,)), encoding="utf-8")
    script = f". {tmp_path}/hook; echo sourced >>{tmp_path}/log; run_earlyhook"
    environment = {
        "PATH": "/usr/bin:/bin",
        "GPUCTL_SYS": f"{tmp_path}/sys",
        "GPUCTL_PROC": f"{tmp_path}/proc",
        "GPUCTL_RECORD": f"{tmp_path}/cards",
        "GPUCTL_KMSG": f"{tmp_path}/log",
    }
    subprocess.run(["sh", "-c", script], env=environment, check=True)
    assert (tmp_path / "log").read_text() == f"sourced\ngpuctl: {GPU.address} is absent\n"
    assert isinstance(GPU, Card)
