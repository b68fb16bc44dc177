"""The register of edges: who may bring samples, what each should run, and how good its link is."""

from headrace.fleet.edges.register import Edges

__all__ = ["Edges"]
