"""The ssh between compute hosts: they share one machine here, so "the other host" is another folder."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nova.virt.libvirt.volume import remotefs

from gpuctl_lab.control import Control


def make_driver(folder: Path, control: Control) -> type:
    """The class to take the place of Nova's SshDriver.

    Args:
        folder: this host's own folder; its `peers.json` maps each host's address to its instances folder.
        control: asked for faults before each command.
    """
    own = str(folder / "instances")
    peers: dict[str, str] = json.loads((folder / "peers.json").read_text(encoding="utf-8"))

    def there(host: str, path: str) -> str:
        """The path that this one has on that host."""
        return peers[host.strip("[]")] + path.removeprefix(own)

    def split(place: str) -> str:
        host, colon, path = place.partition(":")
        return there(host, path) if colon and host in peers else place

    class LabDriver(remotefs.RemoteFilesystemDriver):  # type: ignore[misc]
        """The five commands of Nova's transport."""

        def create_file(self, host: str, dst_path: str, on_execute: Any, on_completion: Any) -> None:
            control.reach("ssh_create_file", path=dst_path)
            path = Path(there(host, dst_path))
            # `touch` does not make folders: Nova's probe for shared storage counts on that.
            if not path.parent.is_dir():
                raise FileNotFoundError(path)
            path.touch()

        def remove_file(self, host: str, dst_path: str, on_execute: Any, on_completion: Any) -> None:
            control.reach("ssh_remove_file", path=dst_path)
            os.unlink(there(host, dst_path))

        def create_dir(self, host: str, dst_path: str, on_execute: Any, on_completion: Any) -> None:
            control.reach("ssh_create_dir", path=dst_path)
            os.makedirs(there(host, dst_path), exist_ok=True)

        def remove_dir(self, host: str, dst_path: str, on_execute: Any, on_completion: Any) -> None:
            control.reach("ssh_remove_dir", path=dst_path)
            shutil.rmtree(there(host, dst_path), ignore_errors=True)

        def copy_file(
            self, src: str, dst: str, on_execute: Callable[..., Any], on_completion: Any, compression: bool
        ) -> None:
            control.reach("copy_file", path=dst)
            shutil.copyfile(split(src), split(dst))

    return LabDriver
