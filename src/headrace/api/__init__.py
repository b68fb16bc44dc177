"""HTTP and WebSocket: the only room that knows them."""
