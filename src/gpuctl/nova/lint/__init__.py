"""Nova's configuration judged: files in (sources), one small function a mistake (checks), findings out (registry)."""
