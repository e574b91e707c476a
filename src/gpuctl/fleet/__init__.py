"""Many hosts: read over SSH, changed through Ansible, shown on one page."""
