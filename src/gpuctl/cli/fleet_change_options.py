"""What `fleet prepare` and `fleet restore` share: their options, and what these ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuctl.fleet.run_state import Wish


def shared(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that both verbs have."""
    for option in reversed(
        (
            click.option("-i", "--inventory", multiple=True, metavar="INVENTORY", help="As `ansible-playbook -i`."),
            click.option("--limit", default="", metavar="PATTERN", help="These hosts alone; a pattern of Ansible's."),
            click.option("--forks", type=click.IntRange(1), default=50, show_default=True, help="Hosts at a time."),
            click.option("--canary", type=click.IntRange(0), default=1, show_default=True,
                         help="So many hosts go first; if one of them fails, no other is touched."),
            click.option("--serial", default=None, metavar="N|N%|LIST", help="Batches after it: 5, 20%, or 1,10%; "
                         "by default all at once, with --reboot or --drain 10%."),
            click.option("--max-fail", default="10%", show_default=True, metavar="N%",
                         help="No further batch once more hosts than this did not make it."),
            click.option("--reboot", is_flag=True, help="Reboot what needs it, wait, and check it again."),
            click.option("--reboot-timeout", type=click.IntRange(1), default=1800, show_default=True,
                         metavar="SECONDS", help="How long a host may take to come back."),
            click.option("--timeout", type=click.IntRange(10), default=3600, show_default=True, metavar="SECONDS",
                         help="What a host may take for one step; a new initramfs for each kernel takes minutes."),
            click.option("--drain", is_flag=True, help="Move the GPU instances away first; enable the host again only "
                         "if all went well."),
            click.option("--os-cloud", metavar="NAME", default=None,
                         help="With --drain: the cloud of clouds.yaml; OS_CLOUD."),
            click.option("--os-region-name", "region", metavar="NAME", default=None,
                         help="The region; OS_REGION_NAME."),
            click.option("--resume", default=None, metavar="RUN", help="Go on with this run, or `last`: with its "
                         "inventory and options; hosts that are done are left alone."),
            click.option("--last", is_flag=True, help="Show the last run again; nothing is asked or changed."),
            click.option("--ask-pass", "-k", is_flag=True, help="Ask for the SSH password."),
            click.option("--ask-become-pass", "-K", is_flag=True, help="Ask for the password to become root."),
            click.option("--ask-vault-pass", is_flag=True, help="Ask for the password of ansible-vault."),
            click.option("--vault-password-file", type=click.Path(exists=True, dir_okay=False, resolve_path=True),
                         help="A file with ansible-vault's password, or a program that prints it."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


def wish(verb: str, variables: dict[str, Any], said: dict[str, Any]) -> Wish:
    """Return what the command line asks for.

    Raises:
        Failure: no inventory.
        BadSize: --serial or --max-fail.
    """
    from gpuctl.fleet.prepare_batches import share, sizes
    from gpuctl.fleet.run_state import Wish

    if not said["inventory"]:
        raise Failure("no inventory", resolution="-i INVENTORY, as with ansible-playbook", exit_code=2)
    for one in said["inventory"]:
        if "," not in one and not Path(one).exists():
            raise Failure(f"no inventory {one}", resolution="-i FILE, -i FOLDER/, or -i host1,host2", exit_code=2)
    serial = said["serial"] or ("10%" if said["reboot"] or said["drain"] else None)
    return Wish(
        verb,
        tuple(one if "," in one else str(Path(one).absolute()) for one in said["inventory"]),
        said["limit"],
        said["canary"],
        sizes(serial) if serial else (),
        share(said["max_fail"]),
        variables,
        reboot=said["reboot"],
        drain=said["drain"],
        reboot_timeout=said["reboot_timeout"],
        cloud=said["os_cloud"] or "",
        region=said["region"] or "",
    )


def passwords(said: dict[str, Any]) -> dict[str, str]:
    """Ask for what is to be asked for; it stays in this process's memory."""
    asked = (("ask_pass", "ssh", "SSH"), ("ask_become_pass", "become", "BECOME"), ("ask_vault_pass", "vault", "Vault"))
    return {kind: click.prompt(f"{name} password", hide_input=True, err=True) for key, kind, name in asked if said[key]}
