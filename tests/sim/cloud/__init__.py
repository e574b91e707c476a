"""A cloud in memory whose GPU servers move, and break, as Nova's do. README.md says how to script it."""

from tests.sim.cloud.client import Client, RemoteSim
from tests.sim.cloud.records import CLASSES, GTX, H100, L40, GpuClass
from tests.sim.cloud.server import MovesSim, wait

__all__ = ["CLASSES", "GTX", "H100", "L40", "Client", "GpuClass", "MovesSim", "RemoteSim", "wait"]
