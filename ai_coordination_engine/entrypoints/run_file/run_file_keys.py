"""The keys of a run file: their stored names, and the short forms that people write."""

from ai_coordination_engine.entrypoints.run_file.yaml_nodes import keys_of

TOP = keys_of(coordination="", task="", task_query="query")
COORDINATION = keys_of(
    coordination_uuid="uuid",
    coordination_name="name",
    coordination_description="description",
    agents="",
    budget="",
)
AGENT = keys_of(
    agent_uuid="uuid",
    agent_name="name",
    agent_description="description",
    agent_type="type",
    runtime="",
    policy="retry",
)
TASK = keys_of(
    task_uuid="uuid",
    task_name="name",
    task_description="description",
    initial_task_query="query",
    subtask_queries="subtasks",
    agent_actions="actions",
    on_failure="",
    placeholders="",
    plan="",
    plan_limits="",
    plan_fallback="",
    expose_as="",
    budget="",
)
SUBTASK = keys_of(agent_uuid="agent", subtask_query="query")
ACTION = keys_of(
    predecessors="after",
    primary_path="",
    user_in_the_loop="ask",
    action_function="function",
    join="",
    quorum="",
    conditions="when",
    map="",
    policy="retry",
    fallback="",
    answer_schema="",
    answer_within_seconds="",
    default_answer="",
)
FUNCTION = keys_of(module_name="module", function_name="name")
MAP = keys_of(over="", items="", join="")
POLICY = keys_of(
    attempts="",
    backoff_seconds="",
    backoff_factor="",
    max_backoff_seconds="",
    timeout_seconds="",
    retry_on="",
    heartbeat_seconds="",
)
