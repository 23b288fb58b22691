// Watches a session of its own with each client, cancels it after the first answer, and prints all answers as JSON.
import { apollo, document, sse, urql, urqlOverSse, ws } from './live-clients.mjs';

const [url] = process.argv.slice(2);
const coordination = 'c';
const WATCH = `subscription($c: String!, $s: String!) { session(coordinationUuid: $c, sessionUuid: $s) {
  id status sessionAgents { id state } } }`;
const QUERY = WATCH.replace('subscription', 'query');
const START = `mutation { executeProcedureTaskSession(coordinationUuid: "c", taskUuid: "t", taskQuery: "go") {
  procedureTaskSession { sessionUuid } } }`;
const CANCEL = `mutation($c: String!, $s: String!) { cancelSession(coordinationUuid: $c, sessionUuid: $s, updatedBy: "me") {
  session { status } } }`;

async function post(query, variables) {
  const body = JSON.stringify({ query, variables });
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  return (await answer.json()).data;
}

function once(client, variables, next) {
  return new Promise((done, fail) => {
    client.subscribe({ query: WATCH, variables }, { next: ({ data }) => next(data), error: fail, complete: done });
  });
}
function onceOfUrql(client, variables, next) {
  return new Promise((done, fail) => {
    let last;
    client.subscription(WATCH, variables).subscribe(({ data, error, hasNext }) => {
      if (error) fail(error);
      if (data && data !== last) next((last = data));
      if (hasNext === false || data?.session.status === 'cancelled') setTimeout(done, 300);
    });
  });
}
function onceOfApollo(client, variables, next) {
  return new Promise((done, fail) => {
    const watched = client.subscribe({ query: document(WATCH), variables });
    watched.subscribe({ next: ({ data, error }) => (error ? fail(error) : next(data)), error: fail, complete: done });
  });
}

async function watched(client, watch) {
  const started = await post(START);
  const session = started.executeProcedureTaskSession.procedureTaskSession.sessionUuid;
  const variables = { c: coordination, s: session };
  const seen = [];
  await watch(client, variables, (data) => {
    seen.push(data.session);
    if (seen.length === 1) post(CANCEL, variables);
  });
  return { seen, last: (await post(QUERY, variables)).session };
}

async function refused() {
  const client = ws(url);
  const payload = { query: 'subscription { unknown }' };
  return new Promise((done) => {
    client.subscribe(payload, { next: done, error: (errors) => done(errors[0].extensions.code), complete: done });
  });
}

const result = {
  ws: await watched(ws(url), once),
  sse: await watched(sse(url), once),
  urql: await watched(urql(url), onceOfUrql),
  urqlOverSse: await watched(urqlOverSse(url), onceOfUrql),
  apollo: await watched(apollo(url), onceOfApollo),
  refused: await refused(),
};
process.stdout.write(JSON.stringify(result), () => process.exit(0));
