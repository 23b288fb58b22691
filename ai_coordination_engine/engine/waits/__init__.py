"""Waits that are ended from outside or by time: people, long jobs, timers."""
