"""What the services are configured with. Facts behind the odd lines: docs of the lab in README.md."""

from __future__ import annotations

import json

from . import broker, database
from .ini import Config
from .install import Install
from .layout import Layout, Ports
from .topology import Host, Topology

REGION = "RegionOne"
USER = "admin"
# Known to everybody: all listeners are on loopback, and nothing in here is worth a secret.
PASSWORD = "lab"


def auth_url(ports: Ports) -> str:
    """Keystone's address."""
    return f"http://127.0.0.1:{ports.keystone}/v3"


def endpoints(ports: Ports) -> dict[str, str]:
    """The catalogue: service type -> address."""
    return {
        "identity": auth_url(ports),
        "placement": f"http://127.0.0.1:{ports.placement}",
        "image": f"http://127.0.0.1:{ports.glance}",
        "network": f"http://127.0.0.1:{ports.network}",
        "compute": f"http://127.0.0.1:{ports.nova}/v2.1",
    }


def keystone(layout: Layout, ports: Ports) -> Config:
    """keystone.conf."""
    return {
        "DEFAULT": {"log_file": ""},
        "database": {"connection": database.url(ports.mariadb, "keystone")},
        "fernet_tokens": {"key_repository": str(layout.state / "keystone" / "fernet")},
        "credential": {"key_repository": str(layout.state / "keystone" / "credential")},
        # The default's bcrypt cost is most of a login's time.
        "identity": {"password_hash_rounds": "4"},
        "cache": {"enabled": "true", "backend": "dogpile.cache.memory"},
        "token": {"expiration": "86400"},
    }


def placement(ports: Ports) -> Config:
    """placement.conf."""
    return {
        "api": {"auth_strategy": "keystone"},
        "placement_database": {"connection": database.url(ports.mariadb, "placement")},
        "keystone_authtoken": _authtoken(ports),
    }


def glance(layout: Layout, ports: Ports, install: Install) -> Config:
    """glance-api.conf."""
    return {
        "DEFAULT": {"enabled_backends": "files:file", "workers": "1", "enabled_import_methods": "[]"},
        "database": {"connection": database.url(ports.mariadb, "glance")},
        "glance_store": {"default_backend": "files"},
        "files": {"filesystem_store_datadir": str(layout.state / "glance" / "images")},
        "os_glance_staging_store": {"filesystem_store_datadir": str(layout.state / "glance" / "staging")},
        "os_glance_tasks_store": {"filesystem_store_datadir": str(layout.state / "glance" / "tasks")},
        "paste_deploy": {
            "flavor": "keystone",
            "config_file": str(install.venv / "etc" / "glance" / "glance-api-paste.ini"),
        },
        "keystone_authtoken": _authtoken(ports),
        "oslo_concurrency": {"lock_path": str(layout.state / "glance" / "lock")},
    }


def nova(layout: Layout, ports: Ports, topology: Topology, service: str) -> Config:
    """nova.conf of api, scheduler and conductor (`service` is its name)."""
    folder = layout.state / "nova" / service
    catalogue = endpoints(ports)
    client = {**_password(ports), "region_name": REGION}
    return {
        "DEFAULT": {
            "transport_url": broker.url(ports),
            "state_path": str(folder),
            "my_ip": "127.0.0.1",
            "log_file": "",
            # Quicker than the defaults, so that tests wait less.
            "report_interval": "5",
            # Long: on a busy machine computes would flap, and boots fail with "No valid host".
            "service_down_time": "60",
            "periodic_fuzzy_delay": "0",
            "graceful_shutdown_timeout": "2",
            "manager_shutdown_timeout": "1",
            "osapi_compute_unique_server_name_scope": "",
        },
        "api": {"auth_strategy": "keystone"},
        "api_database": {"connection": database.url(ports.mariadb, "nova_api")},
        "database": {"connection": database.url(ports.mariadb, "nova")},
        "keystone_authtoken": _authtoken(ports),
        "service_user": {**_password(ports), "send_service_user_token": "false"},
        "placement": client,
        "neutron": {**client, "endpoint_override": catalogue["network"], "service_metadata_proxy": "false"},
        "glance": {**_password(ports), "endpoint_override": catalogue["image"], "num_retries": "1"},
        "oslo_concurrency": {"lock_path": str(folder / "lock")},
        "conductor": {"workers": "1"},
        "scheduler": {"workers": "1", "discover_hosts_in_cells_interval": "2"},
        "filter_scheduler": {
            "enabled_filters": "ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,"
            "ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter,PciPassthroughFilter",
            "track_instance_changes": "false",
        },
        "pci": {"alias": [json.dumps(alias) for alias in topology.aliases]},
        "quota": dict.fromkeys(("instances", "cores", "ram", "server_groups", "server_group_members"), "-1"),
        "vnc": {"enabled": "false"},
        "oslo_policy": {"enforce_scope": "true"},
        "cache": {"enabled": "false"},
    }


def compute(layout: Layout, ports: Ports, topology: Topology, host: Host) -> Config:
    """nova.conf of one compute host."""
    config = nova(layout, ports, topology, f"compute-{host.name}")
    folder = layout.host(host.name)
    # nova-compute reaches the database through the conductor alone, as in a real cloud.
    del config["api_database"], config["database"]
    config["DEFAULT"] |= {
        "host": host.name,
        "my_ip": host.ip,
        "state_path": str(folder / "state"),
        "instances_path": str(folder / "instances"),
        "compute_driver": "libvirt.LibvirtDriver",
        "use_cow_images": "false",
        "force_raw_images": "true",
        "resume_guests_state_on_host_boot": "false",
        "shelved_offload_time": "0",
        # PCI audits; `Lab.audit` asks for one at once.
        "update_resources_interval": "10",
        "flat_injected": "false",
    }
    config["oslo_concurrency"] = {"lock_path": str(folder / "lock")}
    config["pci"]["device_spec"] = [json.dumps(spec) for spec in host.device_spec]
    config["libvirt"] = {
        "virt_type": "kvm",
        "images_type": "raw",
        "cpu_mode": "host-passthrough",
        "wait_soft_reboot_seconds": "1",
        "remote_filesystem_transport": "ssh",
    }
    config["workarounds"] = {
        # The fake libvirt cannot copy blocks of a running guest.
        "disable_libvirt_livesnapshot": "true",
        "skip_cpu_compare_at_startup": "true",
        "skip_cpu_compare_on_dest": "true",
    }
    return config


def _password(ports: Ports) -> dict[str, str | list[str]]:
    """One user for everything: the lab is about PCI, not about service accounts."""
    return {
        "auth_type": "password",
        "auth_url": auth_url(ports),
        "username": USER,
        "password": PASSWORD,
        "project_name": USER,
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }


def _authtoken(ports: Ports) -> dict[str, str | list[str]]:
    return {**_password(ports), "www_authenticate_uri": auth_url(ports), "service_token_roles_required": "false"}
