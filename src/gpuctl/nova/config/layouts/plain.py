"""Plain ini, one file a role: compute.conf, compute.HOST.conf where a host differs, api, scheduler, conductor."""

from __future__ import annotations

from gpuctl.nova.config.filters import default_note
from gpuctl.nova.config.header import header
from gpuctl.nova.config.ini import api_settings, compute_settings, ini, placement_settings, scheduler_settings
from gpuctl.nova.config.layouts import Rendered
from gpuctl.nova.config.plan import Configuration

# oslo.config: values of every file are put together for options that may repeat (run: oslo.config 10.7, nova 33.0.2).
_ADDS = (
    "Lines for devices and aliases in other files are added to these, not replaced by them: take old ones out.",
    "A file in nova.conf.d is read if the service starts without --config-file, or with --config-dir; an API under a",
    "web server reads OS_NOVA_CONFIG_FILES and /etc/nova/nova.conf.d. `gpuctl nova check` shows what is in force.",
)


def render(configuration: Configuration) -> Rendered:
    """Return the files; a host's own compute.HOST.conf is whole: it takes compute.conf's place there."""
    files = {
        "compute.conf": header(configuration, "nova-compute on every host without a file of its own.", *_ADDS)
        + ini(compute_settings(configuration, configuration.specs))
    }
    for host, specs in configuration.host_specs.items():
        about = f"nova-compute on {host}, in place of compute.conf: with both, that one's devices would be added."
        files[f"compute.{host}.conf"] = header(configuration, about, *_ADDS) + ini(
            compute_settings(configuration, specs)
        )
    files["api.conf"] = header(configuration, "nova-api; the metadata service does not need it.", *_ADDS) + ini(
        api_settings(configuration)
    )
    files["scheduler.conf"] = header(configuration, "nova-scheduler. The last filter line read wins.") + ini(
        scheduler_settings(configuration)
    )
    conductor = placement_settings(configuration)
    about = (
        "nova-conductor, every one."
        if conductor
        else "nova-conductor: nothing to set as long as Placement is not asked for devices."
    )
    files["conductor.conf"] = header(configuration, about) + ini(conductor)
    return Rendered(files, _notes(configuration))


def _notes(configuration: Configuration) -> tuple[str, ...]:
    notes = default_note(asked=configuration.filters_asked)
    if not configuration.host_specs:
        return notes
    names = ", ".join(configuration.host_specs)
    return (
        *notes,
        f"{names}: compute.HOST.conf instead of compute.conf there, never both: the lists would be added up",
    )
