"""gpuctl's half that runs on the GPU host, as root: standard library only, Python 3.9 or newer.

The way of the data (docs/explanation/architecture.md):

    Host -> facts -> checks -> findings                       host check
                  -> changes(wish, facts) -> [Change]         host prepare --dry-run prints these very objects
                  -> apply([Change]) -> journal -> facts      done means read back, not written
"""

__version__ = "0.1.0"
