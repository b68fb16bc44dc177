"""What an edge asks to have signed: a request for the name that it may have, and for nothing else."""

from __future__ import annotations

from headrace.fleet.requests import REQUEST_BYTES_MAX, Request, read_request
from headrace.model.errors import DataError

__all__ = ["REQUEST_BYTES_MAX", "Request", "check_request"]


def check_request(data: bytes, edge: str) -> Request:
    """`data` is PEM; its common name has to be the edge's. Raises: DataError."""
    request = read_request(data)
    if request.names != (edge,):
        raise DataError(f"the certificate request must be for '{edge}', and for nothing else")
    return request
