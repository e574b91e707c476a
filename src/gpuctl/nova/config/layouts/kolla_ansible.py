"""kolla-ansible: files below node_custom_config (by default /etc/kolla/config), merged into each container's nova.conf.

Read: roles nova and nova-cell, tasks/config.yml and templates/nova.conf.j2. The sources are merged in the order role
template, global.conf, nova.conf, nova/SERVICE.conf, nova/HOST/nova.conf; a later file replaces an option's whole list.
"""

from __future__ import annotations

from gpuctl.nova.config.filters import default_note
from gpuctl.nova.config.header import header
from gpuctl.nova.config.ini import api_settings, compute_settings, ini, placement_settings, scheduler_settings
from gpuctl.nova.config.layouts import Rendered
from gpuctl.nova.config.plan import Configuration

_MERGE = (
    (
        "Goes below node_custom_config. kolla-ansible merges per option, and a later file's list replaces an earlier "
        "one's:"
    ),
    "lines of the same option in nova.conf or global.conf there are lost. The file is a Jinja template.",
)


def render(configuration: Configuration) -> Rendered:
    """Return nova/SERVICE.conf and, where hosts differ, nova/HOST/nova.conf with the whole list of devices."""
    files = {
        "nova/nova-compute.conf": header(configuration, *_MERGE)
        + ini(compute_settings(configuration, configuration.specs)),
        "nova/nova-api.conf": header(configuration, *_MERGE) + ini(api_settings(configuration)),
        "nova/nova-scheduler.conf": header(configuration, *_MERGE) + ini(scheduler_settings(configuration)),
    }
    conductor = placement_settings(configuration)
    if conductor:
        files["nova/nova-conductor.conf"] = header(configuration, *_MERGE) + ini(conductor)
        # Of the role nova, and only with cells on; without them nobody reads it.
        files["nova/nova-super-conductor.conf"] = header(configuration, *_MERGE, "Read with enable_cells alone.") + ini(
            conductor
        )
    for host, specs in configuration.host_specs.items():
        # nova/HOST/nova.conf: every kolla-ansible reads it; nova/HOST/nova-compute.conf only newer ones.
        about = f"{host} is the name in the inventory; its list replaces that of nova-compute.conf, even if empty here."
        settings = compute_settings(configuration, specs)
        if not specs:
            # What is not mentioned keeps the common list; `[]` is an empty one (nova/pci/whitelist.py takes lists).
            settings.insert(0, (configuration.release.whitelist, "[]"))
        files[f"nova/{host}/nova.conf"] = header(configuration, *_MERGE, about) + ini(settings)
    return Rendered(files, (*default_note(asked=configuration.filters_asked), *_notes(configuration)))


def _notes(configuration: Configuration) -> tuple[str, ...]:
    whitelist = (
        "leave nova_pci_passthrough_whitelist empty in globals.yml: the role renders it as [pci] "
        "passthrough_whitelist, which Nova adds to the list here"
    )
    if configuration.report:
        whitelist += "; its devname entries stop nova-compute once report_in_placement is on"
    notes = [
        whitelist,
        "`kolla-ansible reconfigure --tags nova` restarts the containers itself: limit it (--limit) to go host by host",
    ]
    if not configuration.filters_asked:
        notes.append("with Blazar enabled kolla-ansible sets enabled_filters, too: give its line with --filters")
    return tuple(notes)
