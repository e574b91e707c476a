"""Every change on many hosts: ansible-runner with the collection gpuctl.host."""
