"""The reference works, at a glance: what a program that embeds it needs. Light to import: no server is loaded.

declaration(ports)  the folder of declarations      MACHINES, POINTS, SERVERS  what there is
simulate(...)       headless columns                running.RunningWorks       the servers
"""

from headrace_plants.declaration import declaration
from headrace_plants.layout import MACHINES, POINTS, SERVERS

__all__ = ["MACHINES", "POINTS", "SERVERS", "declaration"]
