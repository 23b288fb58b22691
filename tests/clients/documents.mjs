// What a frontend of sessions asks: a list, one session with all below it, and a mutation.
export const LIST = /* GraphQL */ `
  query Sessions($coordination: String!) {
    sessionList(coordinationUuid: $coordination, limit: 10) {
      sessionList { id sessionUuid status updatedAt task { id taskName } }
      total
      nextCursor
    }
  }
`;
export const DETAIL = /* GraphQL */ `
  query Session($coordination: String!, $session: String!) {
    session(coordinationUuid: $coordination, sessionUuid: $session) {
      id
      status
      coordination { id coordinationName }
      task { id taskName }
      sessionAgents {
        id agentName state startedAt endedAt
        whyNotRunning { code message waitsFor { id state } }
        sessionRuns { id attempt status startedAt endedAt totalTokens }
      }
      sessionRuns { id status sessionAgent { id state } }
    }
  }
`;
export const NODE = /* GraphQL */ `
  query Node($id: ID!) {
    node(id: $id) { id ... on SessionType { sessionUuid status } }
  }
`;
export const CANCEL = /* GraphQL */ `
  mutation Cancel($coordination: String!, $session: String!) {
    cancelSession(coordinationUuid: $coordination, sessionUuid: $session, updatedBy: "me") {
      session { id status sessionAgents { id state endedAt } }
    }
  }
`;

/** Everything that the client complains about from here on. */
export function complaints() {
  const told = [];
  for (const level of ['warn', 'error']) console[level] = (...words) => told.push(words.map(String).join(' '));
  return told;
}
