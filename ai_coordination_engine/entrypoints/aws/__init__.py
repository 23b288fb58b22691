"""The Lambda handlers: API, worker, sweep, and two for subscriptions (WebSocket API, push)."""
