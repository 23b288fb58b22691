"""Requests to the database: one table, on DynamoDB or SQLite; batches, shards, errors."""
