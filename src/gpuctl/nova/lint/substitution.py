"""What oslo.config makes of a value: $name replaced, $$ made one; the same code that the services run."""

from __future__ import annotations

import functools


@functools.lru_cache(maxsize=4096)
def resolve(text: str) -> tuple[str, str]:
    """Return ``(value, error)``: the text after substitution, or the text as it is and what oslo.config says.

    The options of Nova are not known here, so every $name is an error; that is meant: no device or alias needs one.
    """
    if "$" not in text:
        return text, ""
    from oslo_config import cfg

    conf = cfg.ConfigOpts()
    conf.register_opt(cfg.MultiStrOpt("value", default=[text]))
    conf(args=[], default_config_files=[], default_config_dirs=[], project="gpuctl-none")
    try:
        value: list[str] = conf["value"]
    except (cfg.Error, ValueError) as error:
        return text, str(error) or type(error).__name__
    return value[0], ""
