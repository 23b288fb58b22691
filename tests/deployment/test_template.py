"""Properties of template.yaml, read from its text; test_deployment.py deploys it."""

import json
import re
from typing import Any

import pytest

from ai_coordination_engine.api import cors
from ai_coordination_engine.assembly import MAX_RECEIVES
from ai_coordination_engine.entrypoints.aws import sending
from ai_coordination_engine.entrypoints.local import console
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store import connections, leases
from ai_coordination_engine.store.budget_items import BudgetCounter
from ai_coordination_engine.store.models import MODELS, SessionRun
from tests.kit import iam

ROOT = iam.ROOT


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return iam.template()


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of all resources of a type."""
    return {
        name: each["Properties"]
        for name, each in template["Resources"].items()
        if each["Type"] == kind
    }


def keys(schema: list[dict[str, str]]) -> tuple[str, ...]:
    return tuple(each["AttributeName"] for each in sorted(schema, key=lambda each: each["KeyType"]))


def types(definitions: list[dict[str, str]]) -> dict[str, str]:
    return {each["AttributeName"]: each["AttributeType"] for each in definitions}


def test_tables_have_the_keys_and_indexes_of_the_models(template: dict[str, Any]) -> None:
    declared = {
        table["TableName"]["Sub"].removeprefix("${TablePrefix}-"): (
            keys(table["KeySchema"]),
            types(table["AttributeDefinitions"]),
            {
                index["IndexName"]: (keys(index["KeySchema"]), index["Projection"])
                for index in table.get("GlobalSecondaryIndexes", [])
            },
        )
        for table in of_type(template, "AWS::DynamoDB::Table").values()
    }
    modelled = {}
    for model in (*MODELS, BudgetCounter, *connections.OPERATIONAL):
        schema = model.schema()
        indexes = schema["global_secondary_indexes"]
        modelled[model.Meta.table_name] = (
            keys(schema["key_schema"]),
            types(schema["attribute_definitions"]),
            {
                index["index_name"]: (keys(index["key_schema"]), index["projection"])
                for index in indexes
            },
        )
    assert declared == modelled


def test_tables_are_encrypted_on_demand_recoverable_and_retained(template: dict[str, Any]) -> None:
    tables = of_type(template, "AWS::DynamoDB::Table")
    assert len(tables) == 8
    for name, table in tables.items():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["SSESpecification"] == {"SSEEnabled": True}
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        lasts = name != "Connections"  # which end with the WebSocket API
        assert template["Resources"][name]["DeletionPolicy"] == ("Retain" if lasts else "Delete")


def test_the_tables_of_sessions_stream_their_keys_and_nothing_else(
    template: dict[str, Any],
) -> None:
    streams = {
        name: table["StreamSpecification"]
        for name, table in of_type(template, "AWS::DynamoDB::Table").items()
        if "StreamSpecification" in table
    }
    assert streams == {
        name: {"StreamViewType": "KEYS_ONLY"} for name in ("Sessions", "SessionAgents")
    }
    events = template["Resources"]["PushFunction"]["Properties"]["Events"]
    read = {
        each["Properties"]["Stream"]["GetAtt"].partition(".")[0]: each["Properties"]
        for each in events.values()
        if each["Type"] == "DynamoDB"
    }
    assert sorted(read) == ["SessionAgents", "Sessions"]
    for each in read.values():
        assert each["StartingPosition"] == "TRIM_HORIZON"
        assert each["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert each["BisectBatchOnFunctionError"] is True
        assert each["MaximumRetryAttempts"] == 10
        assert each["DestinationConfig"]["OnFailure"] == {
            "Type": "SQS",
            "Destination": {"GetAtt": "SocketDeadLetterQueue.Arn"},
        }


def test_a_lease_to_send_lasts_longer_than_the_functions_that_send(
    template: dict[str, Any],
) -> None:
    timeouts = [
        template["Resources"][name]["Properties"]["Timeout"]
        for name in ("SocketFunction", "PushFunction")
    ]
    assert max(timeouts) < leases.LEASE_SECONDS
    assert template["Resources"]["SocketQueue"]["Properties"]["VisibilityTimeout"] > timeouts[1]
    assert sending.MESSAGE_BYTES == 128 * 1024


def test_the_functions_of_subscriptions_write_nothing_but_who_watches(
    template: dict[str, Any],
) -> None:
    for role in ("SocketRole", "PushRole"):
        for action, resource in iam.rights(role):
            is_read = action.split(":")[1].startswith(("Get", "BatchGet", "Query", "List", "Descr"))
            assert is_read or resource in (
                "Connections",
                "SocketQueue",
                "SocketDeadLetterQueue",
                f"{role.removesuffix('Role')}Logs",
            ) or action == "execute-api:ManageConnections"  # fmt: skip


def test_no_role_may_touch_any_resource_or_do_any_action(template: dict[str, Any]) -> None:
    roles = of_type(template, "AWS::IAM::Role")
    assert sorted(roles) == [
        f"{each}Role" for each in ("Agents", "Api", "Push", "Socket", "Sweep", "Worker")
    ]
    for name, role in roles.items():
        assert "ManagedPolicyArns" not in role
        for statement in [*iam.statements(role), *iam.statements({"Policies": iam.attached(name)})]:
            assert statement["Resource"] != "*"
            assert not [action for action in iam.listed(statement["Action"]) if "*" in action]


def test_every_route_is_authorized(template: dict[str, Any]) -> None:
    assert template["Parameters"]["AuthMode"]["AllowedValues"] == ["JWT", "IAM"]
    every = of_type(template, "AWS::ApiGatewayV2::Route")
    routes = {name: each for name, each in every.items() if each["ApiId"] == {"Ref": "HttpApi"}}
    # the function checks the token, which comes with a message
    assert {
        each["RouteKey"]: each["AuthorizationType"]
        for name, each in every.items()
        if name not in routes
    } == {
        "$connect": {"If": ["UseJwt", "NONE", "AWS_IAM"]},
        "$disconnect": "NONE",
        "$default": "NONE",
    }
    # the function checks the signature, and has a key or no such route
    signed = {"PostAsyncTasks": "/async-tasks", "PostNotices": "/async-tasks/a2a/{owner}"}
    for name, path in signed.items():
        route = routes.pop(name)
        assert (route["RouteKey"], route["AuthorizationType"]) == (f"POST {path}", "NONE")
        assert template["Resources"][name]["Condition"] == "HasWebhookSecret"
    paths = ("/graphql", "/{endpoint_id}/graphql", "/{endpoint_id}/ai_coordination_graphql")
    found = {route["RouteKey"] for route in routes.values()}
    a2a = [
        (f"{method} {prefix}", path)
        for method, path in (
            ("GET", "/.well-known/agent-card.json"),
            ("POST", "/a2a"),
            ("ANY", "/a2a/{path+}"),
        )
        for prefix in ("", "/{endpoint_id}")
    ]
    assert found == {
        *(f"{method} {path}" for method in ("GET", "POST") for path in paths),
        "POST /run-file",
        "POST /{endpoint_id}/run-file",
        "POST /mcp",
        "POST /{endpoint_id}/mcp",
        *(f"{prefix}{path}" for prefix, path in a2a),
    }
    assert {str(route["AuthorizationType"]) for route in routes.values()} == {
        "{'If': ['UseJwt', 'JWT', 'AWS_IAM']}"
    }


def test_a_message_stays_hidden_while_its_worker_may_run_and_not_much_longer(
    template: dict[str, Any],
) -> None:
    queue = template["Resources"]["Queue"]["Properties"]
    assert (
        queue["VisibilityTimeout"]
        == template["Resources"]["WorkerFunction"]["Properties"]["Timeout"] + 30
    )


def test_a_message_is_received_as_often_as_the_worker_counts(template: dict[str, Any]) -> None:
    queue = template["Resources"]["Queue"]["Properties"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == MAX_RECEIVES


def test_the_sweep_ends_before_it_starts_again(template: dict[str, Any]) -> None:
    assert (
        template["Resources"]["SweepRule"]["Properties"]["ScheduleExpression"] == "rate(1 minute)"
    )
    assert template["Resources"]["SweepFunction"]["Properties"]["Timeout"] < 60


def test_long_jobs_go_when_they_have_ended_and_no_run_does(template: dict[str, Any]) -> None:
    times = {
        name: table["TimeToLiveSpecification"]
        for name, table in of_type(template, "AWS::DynamoDB::Table").items()
        if "TimeToLiveSpecification" in table
    }
    expiring = {"AttributeName": "expires_at", "Enabled": True}
    assert times == dict.fromkeys(("SessionRuns", "Budgets", "Connections"), expiring)
    assert "expires_at" not in SessionRun.get_attributes()


def test_every_function_has_its_alarms(template: dict[str, Any]) -> None:
    watched = {
        (each["Dimensions"][0]["Value"]["Ref"], each["MetricName"])
        for each in of_type(template, "AWS::CloudWatch::Alarm").values()
        if each["Namespace"] == "AWS/Lambda"
    }
    functions = of_type(template, "AWS::Serverless::Function")
    always = {(name, metric) for name in functions for metric in ("Errors", "Throttles")}
    assert watched == {
        *always,
        ("SweepFunction", "Invocations"),
        ("PushFunction", "IteratorAge"),
    }


def test_work_that_waits_errors_and_a_missing_sweep_are_alarms(template: dict[str, Any]) -> None:
    alarms = of_type(template, "AWS::CloudWatch::Alarm")
    watched = {
        name: (
            each["MetricName"],
            each["Dimensions"],
            each["Threshold"],
            each["ComparisonOperator"],
            each["TreatMissingData"],
        )
        for name, each in alarms.items()
        if name in ("QueueAgeAlarm", "ServerErrorAlarm", "SweepMissingAlarm")
    }
    assert watched == {
        "QueueAgeAlarm": (
            "ApproximateAgeOfOldestMessage",
            [{"Name": "QueueName", "Value": {"GetAtt": "Queue.QueueName"}}],
            {"Ref": "QueueAgeSeconds"},
            "GreaterThanThreshold",
            "notBreaching",
        ),
        "ServerErrorAlarm": (
            "5xx",
            [{"Name": "ApiId", "Value": {"Ref": "HttpApi"}}],
            0,
            "GreaterThanThreshold",
            "notBreaching",
        ),
        "SweepMissingAlarm": (
            "Invocations",
            [{"Name": "FunctionName", "Value": {"Ref": "SweepFunction"}}],
            1,
            "LessThanThreshold",
            "breaching",  # a sweep that is never invoked gives no data
        ),
    }
    assert (
        alarms["SweepMissingAlarm"]["Period"] * alarms["SweepMissingAlarm"]["EvaluationPeriods"]
        == 600
    )


def test_the_stage_is_throttled_and_logs_who_asked_and_nothing_that_was_said(
    template: dict[str, Any],
) -> None:
    stage = template["Resources"]["HttpStage"]["Properties"]
    assert stage["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": {"Ref": "ApiRequestsPerSecond"},
        "ThrottlingBurstLimit": {"Ref": "ApiBurst"},
    }
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    assert sorted(logged.values()) == [
        "$context.authorizer.claims.sub",
        "$context.error.message",
        "$context.identity.sourceIp",
        "$context.identity.userArn",
        "$context.integrationErrorMessage",
        "$context.path",
        "$context.requestId",
        "$context.requestTime",
        "$context.responseLatency",
        "$context.responseLength",
        "$context.routeKey",
        "$context.status",
    ]


def test_secrets_are_read_at_run_time_by_those_who_need_them(template: dict[str, Any]) -> None:
    assert "{{resolve:" not in (ROOT / "template.yaml").read_text()
    readers = {
        name: [
            each["Resource"]
            for each in [*iam.statements(role), *iam.statements({"Policies": iam.attached(name)})]
            if "secretsmanager:GetSecretValue" in each["Action"]
        ]
        for name, role in of_type(template, "AWS::IAM::Role").items()
    }
    of_agents = [{"Ref": each} for each in ("SecretArns", "HttpSigningSecret", "WebhookSecret")]
    assert readers == {
        "ApiRole": [{"Ref": "WebhookSecret"}],
        "WorkerRole": of_agents,
        "AgentsRole": of_agents,
        "SweepRole": [],
        "SocketRole": [],
        "PushRole": [{"Ref": "A2APushSecretArns"}],
    }
    for name in ("WebhookSecret", "HttpSigningSecret"):
        pattern = template["Parameters"][name]["AllowedPattern"]
        assert [
            bool(re.search(pattern, text)) for text in ("", "arn:aws:secretsmanager:…", "a-name")
        ] == [
            True,
            True,
            False,
        ]


def test_the_console_is_off_and_its_bucket_is_read_by_its_distribution_alone(
    template: dict[str, Any],
) -> None:
    assert template["Parameters"]["Console"]["Default"] == "false"
    ours = {name: each for name, each in template["Resources"].items() if "Console" in name}
    assert len(ours) == 5
    assert {each["Condition"] for each in ours.values()} == {"HasConsole"}
    bucket = ours["ConsoleBucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    _, allowed = ours["ConsoleBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (allowed["Principal"], allowed["Action"]) == (
        {"Service": "cloudfront.amazonaws.com"},
        "s3:GetObject",
    )
    assert "${ConsoleDistribution}" in str(allowed["Condition"]["StringEquals"]["AWS:SourceArn"])


def test_the_console_has_the_policy_of_the_local_server_and_the_api_under_its_origin(
    template: dict[str, Any],
) -> None:
    headers = template["Resources"]["ConsoleHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]
    security = headers["SecurityHeadersConfig"]
    policy = security["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Sub"]
    assert re.sub(
        r"connect-src 'self'[^;]*;", "connect-src 'self';", policy
    ) == console.POLICY.format(socket="")
    distribution = template["Resources"]["ConsoleDistribution"]["Properties"]["DistributionConfig"]
    behaviors = distribution["CacheBehaviors"]
    assert [each["PathPattern"] for each in behaviors] == [
        f"{prefix}/{path}" for path in ("graphql", "run-file") for prefix in ("", "/*")
    ]
    assert {each["TargetOriginId"] for each in behaviors} == {"api"}
    assert {each["ViewerProtocolPolicy"] for each in behaviors} == {"https-only"}
    assert distribution["DefaultCacheBehavior"]["ViewerProtocolPolicy"] == "redirect-to-https"


def test_tracing_is_an_option(template: dict[str, Any]) -> None:
    functions = template["Globals"]["Function"]
    assert functions["Tracing"] == {"If": ["HasTracing", "Active", "PassThrough"]}
    assert functions["Layers"] == {
        "If": ["HasTracing", [{"Ref": "OpenTelemetryLayer"}], {"Ref": "AWS::NoValue"}]
    }
    variables = functions["Environment"]["Variables"]
    assert variables["ACE_METRICS_EMF"] == {"Ref": "Metrics"}
    assert {
        name: template["Parameters"][name]["Default"] for name in ("Metrics", "OtlpEndpoint")
    } == {
        "Metrics": "false",
        "OtlpEndpoint": "",
    }
    nothing = {"Ref": "AWS::NoValue"}
    assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == {
        "If": ["HasDistro", "/opt/otel-instrument", nothing]
    }
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == {
        "If": ["HasOtlp", {"Ref": "OtlpEndpoint"}, nothing]
    }
    policy = template["Resources"]["TracePolicy"]
    assert policy["Condition"] == "HasTracing"
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]


def test_every_check_that_is_left_out_has_its_reason_beside_it() -> None:
    lines = (ROOT / ".ci" / "checkov.yaml").read_text().partition("skip-check:\n")[2].splitlines()
    assert [line for line in lines if not re.fullmatch(r"  - CKV_AWS_\d+ # .{20,}", line)] == []


def test_longest_attempt_fits_into_the_workers_timeout(template: dict[str, Any]) -> None:
    longest = template["Parameters"]["AgentTimeoutSeconds"]["MaxValue"]
    timeout = template["Resources"]["WorkerFunction"]["Properties"]["Timeout"]
    assert Settings(agent_timeout_seconds=longest).lease_seconds <= timeout


def test_every_variable_is_a_setting(template: dict[str, Any]) -> None:
    functions = [
        template["Globals"]["Function"],
        *of_type(template, "AWS::Serverless::Function").values(),
    ]
    variables = {
        name for each in functions for name in each.get("Environment", {}).get("Variables", ())
    }
    settings = {f"ACE_{name.upper()}" for name in Settings.model_fields}
    # of a layer: how it is begun, and where it sends to
    assert variables - settings == {"AWS_LAMBDA_EXEC_WRAPPER", "OTEL_EXPORTER_OTLP_ENDPOINT"}


def test_runtime_is_the_one_that_the_package_is_built_for(template: dict[str, Any]) -> None:
    version = template["Globals"]["Function"]["Runtime"].removeprefix("python")
    assert f'PYTHON_VERSION = "{version}"' in (ROOT / ".ci" / "package").read_text()


def test_browsers_may_send_what_the_local_server_takes(template: dict[str, Any]) -> None:
    api = of_type(template, "AWS::ApiGatewayV2::Api")["HttpApi"]
    _, configured, otherwise = api["CorsConfiguration"]["If"]
    assert set(cors.HEADERS.split(", ")) <= set(configured["AllowHeaders"])
    assert (", ".join(configured["AllowMethods"]), configured["AllowOrigins"]) == (
        cors.METHODS,
        {"Ref": "CorsOrigins"},
    )
    assert otherwise == {"Ref": "AWS::NoValue"}


def test_the_second_worker_is_off_and_differs_in_its_queue_its_extra_and_its_package(
    template: dict[str, Any],
) -> None:
    assert template["Parameters"]["AgentsImageUri"]["Default"] == ""
    ours = {
        name: each
        for name, each in template["Resources"].items()
        if name.startswith("Agents") and name != "AgentsTable"
    }
    assert len(ours) == 9
    assert {each["Condition"] for each in ours.values()} == {"HasAgentsWorker"}
    plain = template["Resources"]["WorkerFunction"]["Properties"]
    second = ours["AgentsFunction"]["Properties"]
    assert ours["AgentsFunction"]["IgnoreGlobals"] == ["Layers", "Runtime"]
    own = {"ACE_WORKER_EXTRA", "AWS_LAMBDA_EXEC_WRAPPER"}
    own |= {"ACE_AGENT_MODELS", "ACE_TOOLS", "ACE_MCP_SERVERS"}
    variables = second["Environment"]["Variables"]
    assert variables["ACE_WORKER_EXTRA"] == "agents"
    assert {name: each for name, each in variables.items() if name not in own} == plain[
        "Environment"
    ]["Variables"]
    assert second["Timeout"] == plain["Timeout"]
    source, its_source = (each["Events"]["WakeUps"]["Properties"] for each in (plain, second))
    assert its_source == {**source, "Queue": {"GetAtt": "AgentsQueue.Arn"}}
    queue, its_queue = (
        template["Resources"][name]["Properties"] for name in ("Queue", "AgentsQueue")
    )
    redrive = {"deadLetterTargetArn": {"GetAtt": "AgentsDeadLetterQueue.Arn"}}
    assert its_queue == {**queue, "RedrivePolicy": {**queue["RedrivePolicy"], **redrive}}


def test_the_workers_may_do_the_same_each_with_its_own_queue() -> None:
    def swapped(resource: str) -> str:
        return resource.replace("Agents", "").replace("WorkerLogs", "Logs")

    other = {(action, swapped(resource)) for action, resource in iam.rights("AgentsRole")}
    assert {(action, swapped(resource)) for action, resource in iam.rights("WorkerRole")} == other
    for role in ("ApiRole", "SweepRole", "WorkerRole", "AgentsRole"):
        assert {("sqs:SendMessage", each) for each in ("Queue", "AgentsQueue")} <= iam.rights(role)


def test_the_image_of_the_second_worker_is_made_from_its_lock_for_its_runtime(
    template: dict[str, Any],
) -> None:
    text = (ROOT / ".ci" / "agents.Dockerfile").read_text()
    version = template["Globals"]["Function"]["Runtime"].removeprefix("python")
    assert f"FROM public.ecr.aws/lambda/python:{version}\n" in text
    assert "COPY .ci/constraints-agents-lambda.txt" in text
    assert "--require-hashes" in text
    assert "--target ${LAMBDA_TASK_ROOT}" in text  # before what the base image ships
    handler = template["Resources"]["WorkerFunction"]["Properties"]["Handler"]
    assert f'CMD ["{handler}"]' in text
