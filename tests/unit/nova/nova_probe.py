"""Run by a Python that has Nova: its own parsers on configurations from stdin, their answers to stdout (both JSON).

In: {"jobs": [{"conf": text, "devices": [{address, vendor_id, product_id}]}]}. Out: {"version", "answers": [{"specs", "aliases",
"taken"}]}: specs and aliases are empty, or the error's class and text; taken is the addresses that are assignable.
"""

import json
import logging
import os
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"


def main():
    from importlib.metadata import version

    import nova.conf
    from nova.pci import request, whitelist

    conf = nova.conf.CONF
    answers = []
    for job in json.load(sys.stdin)["jobs"]:
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(job["conf"])
            file.flush()
            answers.append(answer(conf, whitelist, request, file.name, job["devices"]))
    json.dump({"version": version("nova"), "answers": answers}, sys.stdout)


def said(error):
    return f"{type(error).__name__}: {error}"


def answer(conf, whitelist, request, file, devices):
    found = {"specs": "", "aliases": "", "taken": []}
    conf.clear()
    conf([], project="nova", prog="none", default_config_files=[file], default_config_dirs=[])
    # Private until 29; cached from 34 on.
    read_aliases = getattr(request, "get_alias_from_config", None) or request._get_alias_from_config
    if hasattr(read_aliases, "cache_clear"):
        read_aliases.cache_clear()
    try:
        specs = conf.pci.device_spec if "device_spec" in conf.pci else conf.pci.passthrough_whitelist
        listed = whitelist.Whitelist(specs)
        found["taken"] = [device["address"] for device in devices if listed.device_assignable(dict(device))]
    except Exception as error:  # noqa: BLE001 - whatever Nova raises is the answer
        found["specs"] = said(error)
    try:
        read_aliases()
    except Exception as error:  # noqa: BLE001 - whatever Nova raises is the answer
        found["aliases"] = said(error)
    return found


if __name__ == "__main__":
    main()
