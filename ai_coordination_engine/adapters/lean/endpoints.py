"""Resolve the endpoint of an operation once."""

from typing import Any


class KnownEndpoints:
    """A resolver of botocore that resolves the endpoint of each operation once for an account.

    The endpoint may name the account of the credentials ("Account-based endpoints", Amazon DynamoDB
    Developer Guide), and nothing else that differs between two calls of an operation.
    """

    def __init__(self, resolver: Any, signer: Any, operations: frozenset[str]) -> None:
        self._resolver, self._signer, self._operations = resolver, signer, operations
        self._known: dict[tuple[str, str | None], Any] = {}

    def construct_endpoint(
        self, *, operation_model: Any, call_args: Any, request_context: Any
    ) -> Any:
        """The URL, the headers and the properties of the operation's endpoint."""
        account = getattr(self._signer._credentials, "account_id", None)
        key = operation_model.name, account
        if (known := self._known.get(key)) is not None:
            return known
        found = self._resolver.construct_endpoint(
            operation_model=operation_model, call_args=call_args, request_context=request_context
        )
        if operation_model.name in self._operations:
            self._known[key] = found
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resolver, name)
