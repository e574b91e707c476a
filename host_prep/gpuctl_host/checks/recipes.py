"""Other arguments of the recipes that are dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice
from gpuctl_host.checks.answer import HOST, Answer, Check, passed, skipped, warned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View


def kernel_cmdline(view: View) -> Iterator[Answer]:
    """No other argument of the recipes is dead."""
    lines = view.command_lines()
    if not lines:
        yield skipped(HOST, "the kernel's command line could not be read", "/proc/cmdline is not there")
        return
    seen: set[str] = set()
    for where, line in lines:
        for item in line:
            if item.text in seen:
                continue
            if item.name == "video" and "," in (item.value or "") and (item.value or "").count(":off") > 1:
                seen.add(item.text)
                apart = " ".join(f"video={part}" for part in item.values)
                title = (
                    f"{item.text} turns off one framebuffer at most: the kernel takes what stands before the first "
                    "colon as the driver"
                )
                yield warned(HOST, title, f"{where}: {item.text}", f"write it as {apart}")
            elif item.name in ("nomodset", "nomodesetting", "no_modeset"):
                seen.add(item.text)
                yield warned(
                    HOST,
                    f"{item.text} does nothing: it is a slip for nomodeset",
                    f"{where}: {item.text}",
                    advice.drop_argument(view, item.text),
                )
    if not seen:
        yield passed(HOST, "no dead argument of the known recipes", f"{lines[0][0]}: {len(lines[0][1])} arguments read")


CHECKS = (
    Check(
        "kernel-cmdline",
        kernel_cmdline,
        "Is there any other dead argument?",
        "Warns about video=vesafb:off,efifb:off as one argument, and about slips such as nomodset.",
        "The running, the next and the configured command line.",
        "They stand in the most copied recipe of the field, and leave the boot framebuffer on the card.",
        "Write one video= argument a framebuffer, or take it out.",
        (
            "the kernel options in public Terraform examples for MAAS",
            "Linux drivers/video/fbdev/core/fb_cmdline.c",
            "tests/cases/hosts/z370-2080ti-2060-same-group-wrong-ids.yaml",
        ),
    ),
)
