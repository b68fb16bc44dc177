"""What an app sees of Headrace: all of it, and nothing else. docs/apps.md; decision 0046.

    app.py        App: what is called when          manifest.py   what it is and what it asks for
    context.py    Context: what it can do           settings.py   the form of its settings
    request.py    Request, Reply                    schedule.py   when a job is due
    translations.py   its texts

Versions follow semver: `SDK_VERSION` grows in its first number when an app that ran does not any more, in its second
with what is new. `tests/sdk/apps/test_public.py` pins the names and their signatures.
"""

from headrace.sdk.access import Action
from headrace.sdk.apps.app import App
from headrace.sdk.apps.context import Answer, Context, Document, Resolved, Rows, Samples, Signature, Statement
from headrace.sdk.apps.manifest import AppManifest, Page, PageKind, Permissions, read_manifest
from headrace.sdk.apps.request import Reply, Request
from headrace.sdk.apps.schedule import Schedule
from headrace.sdk.apps.settings import Setting, SettingKind

SDK_VERSION = "1.0"

__all__ = [
    "SDK_VERSION", "Action", "Answer", "App", "AppManifest", "Context", "Document", "Page", "PageKind", "Permissions",
    "Reply", "Request", "Resolved", "Rows", "Samples", "Schedule", "Setting", "SettingKind", "Signature", "Statement",
    "read_manifest",
]  # fmt: skip
