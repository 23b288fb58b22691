// What the screens of a frontend ask; the compiler reads it, and nothing runs it.
import { graphql } from 'relay-runtime';

graphql`
  query screensListQuery($coordination: String!) {
    sessionList(coordinationUuid: $coordination, limit: 10) {
      sessionList { id sessionUuid status task { id taskName } }
      nextCursor
    }
  }
`;
graphql`
  fragment screensSession on SessionType @refetchable(queryName: "screensSessionRefetchQuery") {
    id
    status
    sessionAgents { id agentName state }
  }
`;
graphql`
  query screensSessionQuery($coordination: String!, $session: String!) {
    session(coordinationUuid: $coordination, sessionUuid: $session) { ...screensSession }
  }
`;
graphql`
  mutation screensCancelMutation($coordination: String!, $session: String!) {
    cancelSession(coordinationUuid: $coordination, sessionUuid: $session, updatedBy: "me") {
      session { ...screensSession }
    }
  }
`;
