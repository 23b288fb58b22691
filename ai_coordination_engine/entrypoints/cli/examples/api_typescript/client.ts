// Save a coordination and a task, start a session and wait for its end. See README.md.

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

interface Session {
  status: string;
  logs: string | null;
  sessionAgents: { agentUuid: string; state: string; agentOutput: string | null }[];
}

interface Answer<Data> {
  data?: Data;
  errors?: { message: string; extensions: { code: string } }[];
  extensions?: { warnings?: string[] };
}

const url = process.env.API ?? "http://127.0.0.1:8000/graphql";
const token = process.env.TOKEN;
const ended = ["completed", "failed", "cancelled", "timeout"];

async function send<Data>(query: string, variables: Record<string, Json> = {}): Promise<Data> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const answer = (await response.json()) as Answer<Data>;
  if (!answer.data || answer.errors) throw new Error(JSON.stringify(answer.errors ?? answer));
  for (const warning of answer.extensions?.warnings ?? []) console.warn("warning:", warning);
  return answer.data;
}

await send(
  `mutation ($agents: [JSONCamelCase], $subtasks: [JSONCamelCase], $actions: JSONCamelCase) {
    insertUpdateCoordination(coordinationUuid: "typescript-client", coordinationName: "Brief", agents: $agents,
        updatedBy: "client.ts") { coordination { coordinationUuid } }
    insertUpdateTask(coordinationUuid: "typescript-client", taskUuid: "brief", taskName: "Brief",
        subtaskQueries: $subtasks, agentActions: $actions, updatedBy: "client.ts") { task { taskUuid } }
  }`,
  {
    agents: [{ agentUuid: "researcher" }, { agentUuid: "writer", agentName: "Writer" }],
    subtasks: [
      { agentUuid: "researcher", subtaskQuery: "Find facts about {topic}." },
      { agentUuid: "writer", subtaskQuery: "Write a page." },
    ],
    actions: { writer: { predecessors: ["researcher"] } },
  },
);

const started = await send<{ executeProcedureTaskSession: { procedureTaskSession: { sessionUuid: string } } }>(
  `mutation ($query: String) {
    executeProcedureTaskSession(coordinationUuid: "typescript-client", taskUuid: "brief", taskQuery: $query) {
      procedureTaskSession { sessionUuid }
    }
  }`,
  { query: JSON.stringify({ topic: "heat pumps" }) },
);
const { sessionUuid } = started.executeProcedureTaskSession.procedureTaskSession;

async function read(): Promise<Session> {
  const { session } = await send<{ session: Session }>(
    `query ($session: String!) {
      session(coordinationUuid: "typescript-client", sessionUuid: $session) {
        status logs sessionAgents { agentUuid state agentOutput }
      }
    }`,
    { session: sessionUuid },
  );
  return session;
}

let session = await read();
while (!ended.includes(session.status)) {
  await new Promise((resolve) => setTimeout(resolve, 200));
  session = await read();
}
console.log("session", session.status, session.logs ?? "");
for (const agent of session.sessionAgents) {
  console.log(`${agent.agentUuid} (${agent.state}): ${agent.agentOutput}`);
}

export {};
