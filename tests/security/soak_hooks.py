"""What Schemathesis must not send in the soak: what reaches beyond the folder of the test, or leaves nothing to ask."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """A backup goes where the operator says, anywhere on this machine: here only names that are refused are said.
    Declarations may add to the plant and change it; without it every other operation would ask for what is gone."""
    operation = context.operation
    name = operation.definition.raw.get("operationId") if operation is not None else None
    if not isinstance(body, dict):
        return body
    if name == "startHistoryJob" and str(body.get("target") or "").startswith("/"):
        return {**body, "target": "../" + body["target"]}
    if name == "applyDeclarations" and body.get("prune", True) is True:
        return {**body, "prune": False}
    return body


@schemathesis.serializer("application/pkcs10", "application/vnd.apache.arrow.stream")
def raw(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Any bytes; what is right of these has tests of its own."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
