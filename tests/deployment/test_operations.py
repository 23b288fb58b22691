"""What operators rely on in template.yaml: alarms, logs, queues, the socket, the console's CDN."""

from typing import Any

import pytest

from ai_coordination_engine.settings import Settings
from tests.kit import iam

NOTHING = {"Ref": "AWS::NoValue"}
ARN = "arn:${AWS::Partition}:%s:${AWS::Region}:%s"


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of all resources of a type."""
    return {
        name: each["Properties"]
        for name, each in iam.template()["Resources"].items()
        if each["Type"] == kind
    }


def test_every_alarm_notifies_the_topic() -> None:
    alarms = resources("AWS::CloudWatch::Alarm")
    topic = {"If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], NOTHING]}
    assert [name for name, each in alarms.items() if each["AlarmActions"] != topic] == []
    missing = {name: each["TreatMissingData"] for name, each in alarms.items()}
    assert {name for name, each in missing.items() if each != "notBreaching"} == {
        "SweepMissingAlarm"
    }


def test_every_queue_is_watched() -> None:
    watched = {
        (each["Dimensions"][0]["Value"]["GetAtt"], each["MetricName"]): (
            each["Threshold"],
            each["Period"] * each["EvaluationPeriods"],
        )
        for each in resources("AWS::CloudWatch::Alarm").values()
        if each["Namespace"] == "AWS/SQS"
    }
    letters, age = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"
    assert watched == {
        ("DeadLetterQueue.QueueName", letters): (0, 300),
        ("AgentsDeadLetterQueue.QueueName", letters): (0, 300),
        ("SocketDeadLetterQueue.QueueName", letters): (0, 300),
        ("Queue.QueueName", age): ({"Ref": "QueueAgeSeconds"}, 300),
        ("AgentsQueue.QueueName", age): ({"Ref": "QueueAgeSeconds"}, 300),
    }


def test_what_is_waited_for_by_watchers_is_watched() -> None:
    alarm = resources("AWS::CloudWatch::Alarm")["PushAgeAlarm"]
    assert (alarm["MetricName"], alarm["Dimensions"], alarm["Threshold"]) == (
        "IteratorAge",
        [{"Name": "FunctionName", "Value": {"Ref": "PushFunction"}}],
        60_000,
    )


def test_every_function_has_a_log_of_its_own_that_is_kept_as_long_as_asked_for() -> None:
    logs = resources("AWS::Logs::LogGroup")
    assert {str(each) for each in logs.values()} == {
        str({"RetentionInDays": {"Ref": "LogRetentionDays"}})
    }
    functions = resources("AWS::Serverless::Function")
    of = {name: each["LoggingConfig"]["LogGroup"]["Ref"] for name, each in functions.items()}
    assert of == {name: name.replace("Function", "Logs") for name in functions}
    assert set(logs) - set(of.values()) == {"AccessLogs"}


def test_every_function_has_a_role_and_a_time_of_its_own() -> None:
    functions = resources("AWS::Serverless::Function")
    assert {
        name: (each["Role"]["GetAtt"], each["Timeout"]) for name, each in functions.items()
    } == {
        "ApiFunction": ("ApiRole.Arn", 29),
        "WorkerFunction": ("WorkerRole.Arn", 300),
        "AgentsFunction": ("AgentsRole.Arn", 300),
        "SweepFunction": ("SweepRole.Arn", 55),
        "SocketFunction": ("SocketRole.Arn", 29),
        "PushFunction": ("PushRole.Arn", 30),
    }


def test_the_command_line_of_aws_uploads_the_package_and_nothing_else() -> None:
    # without the property it uploads the folder of the template, so the whole checkout
    code = {name: each["CodeUri"] for name, each in resources("AWS::Serverless::Function").items()}
    assert code.pop("AgentsFunction") == NOTHING
    assert set(code.values()) == {"build/lambda/"}


def test_queues_are_encrypted_and_keep_messages_longer_than_their_functions_run() -> None:
    queues = {
        name: (
            each["SqsManagedSseEnabled"],
            each.get("VisibilityTimeout"),
            each["MessageRetentionPeriod"],
            each.get("RedrivePolicy", {}).get("maxReceiveCount"),
        )
        for name, each in resources("AWS::SQS::Queue").items()
    }
    two_weeks = (True, None, 14 * 86_400, None)
    assert queues == {
        "Queue": (True, 330, 4 * 86_400, 10),
        "DeadLetterQueue": two_weeks,
        "AgentsQueue": (True, 330, 4 * 86_400, 10),
        "AgentsDeadLetterQueue": two_weeks,
        "SocketQueue": (True, 40, 7200, 10),
        "SocketDeadLetterQueue": two_weeks,
    }


def test_no_more_functions_take_messages_than_the_operator_allows() -> None:
    functions = resources("AWS::Serverless::Function")
    scaled = {
        (name, each["Properties"]["Queue"]["GetAtt"]): (
            each["Properties"]["ScalingConfig"]["MaximumConcurrency"],
            each["Properties"]["BatchSize"],
            each["Properties"]["FunctionResponseTypes"],
        )
        for name, function in functions.items()
        for each in function.get("Events", {}).values()
        if each["Type"] == "SQS"
    }
    failures = ["ReportBatchItemFailures"]
    of_workers = {"Ref": "WorkerMaximumConcurrency"}, {"Ref": "WorkerBatchSize"}, failures
    assert scaled == {
        ("WorkerFunction", "Queue.Arn"): of_workers,
        ("AgentsFunction", "AgentsQueue.Arn"): of_workers,
        ("PushFunction", "SocketQueue.Arn"): (10, 10, failures),
    }
    parameter = iam.template()["Parameters"]["WorkerMaximumConcurrency"]
    assert (parameter["MinValue"], parameter["MaxValue"]) == (2, 1000)  # what Lambda accepts


@pytest.mark.parametrize("name", ["Bucket", "ConsoleBucket"])
def test_buckets_are_private_encrypted_and_speak_tls(name: str) -> None:
    bucket = resources("AWS::S3::Bucket")[name]
    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    (encrypted,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encrypted == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    policy = resources("AWS::S3::BucketPolicy")[f"{name}Policy"]["PolicyDocument"]["Statement"][0]
    assert (policy["Effect"], policy["Principal"], policy["Action"]) == ("Deny", "*", "s3:*")
    assert policy["Resource"] == [{"GetAtt": f"{name}.Arn"}, {"Sub": f"${{{name}.Arn}}/*"}]
    assert policy["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_socket_is_one_function_that_this_api_alone_calls() -> None:
    api = resources("AWS::ApiGatewayV2::Api")["SocketApi"]
    assert (api["ProtocolType"], api["RouteSelectionExpression"]) == (
        "WEBSOCKET",
        "$request.body.type",
    )
    function = ARN % ("apigateway", "lambda:path/2015-03-31/functions/${SocketFunction.Arn}")
    assert resources("AWS::ApiGatewayV2::Integration")["SocketIntegration"] == {
        "ApiId": {"Ref": "SocketApi"},
        "IntegrationType": "AWS_PROXY",
        "IntegrationMethod": "POST",
        "IntegrationUri": {"Sub": f"{function}/invocations"},
    }
    assert resources("AWS::Lambda::Permission")["SocketPermission"] == {
        "FunctionName": {"Ref": "SocketFunction"},
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": {"Sub": ARN % ("execute-api", "${AWS::AccountId}:${SocketApi}/*")},
    }
    routes = [
        each
        for each in resources("AWS::ApiGatewayV2::Route").values()
        if each["ApiId"] == {"Ref": "SocketApi"}
    ]
    assert {str(each["Target"]) for each in routes} == {
        str({"Sub": "integrations/${SocketIntegration}"})
    }
    stage = resources("AWS::ApiGatewayV2::Stage")["SocketStage"]
    url = "https://${SocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/graphql"
    for name in ("SocketFunction", "PushFunction"):
        function = iam.template()["Resources"][name]["Properties"]
        variables = function["Environment"]["Variables"]
        assert variables["ACE_SOCKET_API_URL"] == {"Sub": url}
        assert ("execute-api:ManageConnections", SOCKETS) in iam.rights(f"{name[:-8]}Role")
    assert url.endswith(f"/{stage['StageName']}")


SOCKETS = ARN % ("execute-api", "${AWS::AccountId}:${SocketApi}/graphql/*")


def test_the_consoles_files_are_cached_and_the_api_behind_it_is_not() -> None:
    config = resources("AWS::CloudFront::Distribution")["ConsoleDistribution"]["DistributionConfig"]
    assert (config["DefaultRootObject"], config["HttpVersion"]) == ("index.html", "http2and3")
    assert config["Origins"] == [
        {
            "Id": "files",
            "DomainName": {"GetAtt": "ConsoleBucket.RegionalDomainName"},
            "OriginAccessControlId": {"Ref": "ConsoleAccess"},
            "S3OriginConfig": {"OriginAccessIdentity": ""},
        },
        {
            "Id": "api",
            "DomainName": {"Sub": "${HttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}"},
            "CustomOriginConfig": {
                "OriginProtocolPolicy": "https-only",
                "OriginSSLProtocols": ["TLSv1.2"],
            },
        },
    ]
    files = config["DefaultCacheBehavior"]
    optimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"
    assert (files["TargetOriginId"], files["CachePolicyId"]) == ("files", optimized)
    assert files["ResponseHeadersPolicyId"] == {"Ref": "ConsoleHeaders"}
    for behavior in config["CacheBehaviors"]:  # the API sets its own headers
        assert behavior == {
            "PathPattern": behavior["PathPattern"],
            "TargetOriginId": "api",
            "ViewerProtocolPolicy": "https-only",
            "AllowedMethods": ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"],
            "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",  # CachingDisabled
            # AllViewerExceptHostHeader: the token reaches the API, and the API knows its own name
            "OriginRequestPolicyId": "b689b0a8-53d0-40ab-baf2-68738e2966ac",
        }
    certificate, otherwise = config["ViewerCertificate"]["If"][1:]
    assert certificate["MinimumProtocolVersion"] == "TLSv1.2_2021"
    assert otherwise == NOTHING
    access = resources("AWS::CloudFront::OriginAccessControl")["ConsoleAccess"]
    assert access["OriginAccessControlConfig"] == {
        "Name": {"Sub": "${AWS::StackName}-console"},
        "OriginAccessControlOriginType": "s3",
        "SigningBehavior": "always",
        "SigningProtocol": "sigv4",
    }


def test_the_console_has_strict_headers() -> None:
    config = resources("AWS::CloudFront::ResponseHeadersPolicy")["ConsoleHeaders"][
        "ResponseHeadersPolicyConfig"
    ]
    security = config["SecurityHeadersConfig"]
    assert {str(each["Override"]) for each in security.values()} == {"True"}
    assert security["FrameOptions"]["FrameOption"] == "DENY"
    assert security["ReferrerPolicy"]["ReferrerPolicy"] == "no-referrer"
    transport = security["StrictTransportSecurity"]
    assert (transport["AccessControlMaxAgeSec"], transport["IncludeSubdomains"]) == (
        2 * 365 * 86_400,
        True,
    )
    assert sorted(security) == [
        "ContentSecurityPolicy",
        "ContentTypeOptions",
        "FrameOptions",
        "ReferrerPolicy",
        "StrictTransportSecurity",
    ]
    items = config["CustomHeadersConfig"]["Items"]
    assert {each["Header"]: each["Value"] for each in items} == {
        "Cache-Control": "no-cache",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def test_these_settings_alone_have_no_parameter() -> None:
    template = iam.template()
    places = [template["Globals"]["Function"], *resources("AWS::Serverless::Function").values()]
    names = {name for each in places for name in each.get("Environment", {}).get("Variables", ())}
    assert {f"ACE_{name.upper()}" for name in Settings.model_fields} - names == {
        # of one machine, or a secret in plain text
        "ACE_SECRETS_DIR",
        "ACE_HTTP_SIGNING_KEY",
        "ACE_WEBHOOK_KEY",
        "ACE_CORS_ORIGINS",  # the HTTP API answers what the parameter CorsOrigins says
        # what fits the tables, the queues and the timeouts of the template
        "ACE_AWS_CLIENT",
        "ACE_INLINE_LIMIT",
        "ACE_LEASE_MARGIN_SECONDS",
        "ACE_WATCH_SECONDS",
        # whose defaults hold on AWS
        "ACE_AGENT_MAX_REQUESTS",
        "ACE_AGENT_MAX_TOKENS",
        "ACE_AGENT_MAX_TOOL_CALLS",
        "ACE_BACKOFF_SECONDS",
        "ACE_BUDGET_MAX_TOKENS",
        "ACE_MAX_BACKOFF_SECONDS",
        "ACE_METRICS_BY_TENANT",
        "ACE_TASK_POSITION",
        "ACE_TRIAGE_HOPS",
    }
