"""Subscriptions, the same for all transports: what they wait for, one execution, the protocols."""
