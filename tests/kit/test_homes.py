"""The AWS that tests get is the one that the product makes."""

from typing import Any

import pytest
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.settings import Settings
from tests.kit.homes import with_queue_and_bucket


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_a_queue_and_a_bucket_are_those_that_the_product_makes(
    monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    settings = Settings(auth="local", agent_timeout_seconds=30)
    made = []
    for make in (with_queue_and_bucket, bootstrap.create_queue_and_bucket):
        with mock_aws():
            made.append(_described(make(settings)))
    assert made[0] == made[1]


def _described(settings: Settings) -> tuple[Settings, list[dict[str, Any]], Any]:
    sqs = bootstrap.client("sqs")
    queues = [
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for url in (settings.queue_url, f"{settings.queue_url}-dead")
    ]
    for each in queues:
        for name in ("CreatedTimestamp", "LastModifiedTimestamp"):
            del each[name]
    place = bootstrap.client("s3").get_bucket_location(Bucket=settings.bucket)
    return settings, queues, place["LocationConstraint"]
