"""Real parts: a kernel in QEMU (host), an OpenStack control plane (openstack). A package, so that no test calls itself `openstack`."""
