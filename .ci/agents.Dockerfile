# The worker with the extra `agents` as a container image for AWS Lambda: the parameter AgentsImageUri of template.yaml.
#   docker build --platform linux/arm64 --provenance=false -f .ci/agents.Dockerfile -t REPOSITORY:TAG .
# The libraries lie beside the code, before those that the base image ships; `make image` tries it without Docker.
FROM public.ecr.aws/lambda/python:3.13
COPY .ci/constraints-agents-lambda.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: --target ${LAMBDA_TASK_ROOT} -r /tmp/constraints.txt
COPY ai_coordination_engine ${LAMBDA_TASK_ROOT}/ai_coordination_engine
RUN python -m compileall -q ${LAMBDA_TASK_ROOT}/ai_coordination_engine
CMD ["ai_coordination_engine.entrypoints.aws.worker.handler"]
