"""Sign-in through providers of identities (OpenID Connect Core 1.0): begin reading at `client.py`."""

from headrace.access.oidc.client import Claims, Provider, Providers
from headrace.access.oidc.config import ProviderConfig, RoleRule, read_providers

__all__ = ["Claims", "Provider", "ProviderConfig", "Providers", "RoleRule", "read_providers"]
