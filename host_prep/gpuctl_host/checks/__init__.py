"""Judge: one small function a check; facts in, findings out; no I/O.

`registry.run_checks` asks them all; `render.check_document` and `nagios.nagios` say the verdict.
"""
