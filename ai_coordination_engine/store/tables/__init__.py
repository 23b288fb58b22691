"""Requests to DynamoDB: one table, batches, shards, and the translation of errors."""
