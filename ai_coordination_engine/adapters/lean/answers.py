"""Responses of a JSON protocol."""

import json
from typing import Any

from botocore.utils import lowercase_dict


class JsonAnswers:
    """A parser of botocore, and the factory that creates it, for responses that are plain JSON.

    Errors, and responses with binary values, are parsed by botocore.
    """

    def __init__(self, parser: Any, shapes: set[str]) -> None:
        self._parser, self._shapes = parser, shapes

    def create_parser(self, protocol: str) -> "JsonAnswers":
        """Return this parser: the client has one protocol."""
        return self

    def parse(self, response: Any, shape: Any) -> dict[str, Any]:
        """The members of a response and its metadata."""
        answer = self._plain(response, shape)
        if answer is None:
            parsed: dict[str, Any] = self._parser.parse(response, shape)
            return parsed
        headers = lowercase_dict(response["headers"])
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": headers}
        if "x-amzn-requestid" in headers:
            metadata["RequestId"] = headers["x-amzn-requestid"]
        answer["ResponseMetadata"] = metadata
        return answer

    def _plain(self, response: Any, shape: Any) -> dict[str, Any] | None:
        body = response["body"]
        if response["status_code"] != 200 or shape is None or shape.name not in self._shapes:
            return None
        if b'"B"' in body or b'"BS"' in body or b'"Binary' in body:
            return None
        try:
            answer = json.loads(body)
        except ValueError:
            return None
        if not isinstance(answer, dict):
            return None
        return {name: value for name, value in answer.items() if value is not None}
