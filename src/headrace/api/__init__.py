"""HTTP and WebSocket: the only room that knows them. Holds no logic of its own.

app.py          what is where            server.py       uvicorn inside the platform's task group
rights.py       who may call what        security.py     who is calling
live_feed.py    changes, pushed          errors.py       errors to HTTP
"""

from headrace.api.app import create_app
from headrace.api.services import Services, SystemInfo
from headrace.api.settings import ApiSettings

__all__ = ["ApiSettings", "Services", "SystemInfo", "create_app"]
