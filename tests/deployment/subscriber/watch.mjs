// Watches a session with the npm client graphql-ws until it has ended; prints its states, one a line.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const { SOCKET, TOKEN, TENANT, COORDINATION, SESSION } = process.env;

// The emulator's handshake has no subprotocol, which this client would refuse.
class Socket extends WebSocket {
  constructor(url, protocol) {
    super(url, { headers: { "sec-websocket-protocol": protocol } });
  }
}

const client = createClient({
  url: SOCKET,
  webSocketImpl: Socket,
  retryAttempts: 0,
  connectionParams: { authorization: `Bearer ${TOKEN}`, endpointId: TENANT },
  on: { ping: (received, told) => received && console.log(JSON.stringify({ told })) },
});
const query = `subscription ($c: String!, $s: String!) {
  session(coordinationUuid: $c, sessionUuid: $s) { status sessionAgents { agentUuid state } }
}`;
const variables = { c: COORDINATION, s: SESSION };
try {
  for await (const { data, errors } of client.iterate({ query, variables })) {
    console.log(JSON.stringify(errors ?? data.session));
  }
} catch (error) {
  console.log(JSON.stringify({ ended: error.message ?? error }));
}
await client.dispose();
