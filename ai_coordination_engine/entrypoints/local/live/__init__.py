"""Subscriptions of the local server: over a WebSocket, and as server-sent events."""
