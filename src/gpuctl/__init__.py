"""gpuctl: the operator's half. Never root, never /sys: what touches a host is gpuctl_host."""
