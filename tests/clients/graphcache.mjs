// Runs the documents with urql's normalised cache and prints what it answers without the network, as JSON.
import { getIntrospectionQuery } from 'graphql';
import { CANCEL, DETAIL, LIST, NODE, complaints } from './documents.mjs';
import { urql } from './graphcache-client.mjs';

const told = complaints();
const [url, coordination, session] = process.argv.slice(2);
const answer = await fetch(url, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ query: getIntrospectionQuery() }),
});
const { data: schema } = await answer.json();
const client = urql(url, schema);
const send = async (sent) => {
  const { data, error } = await sent.toPromise();
  if (error) throw error;
  return data;
};

const seen = [];
const watched = client.query(LIST, { coordination }).subscribe(({ data, stale }) => {
  if (data && !stale) seen.push(data.sessionList.sessionList.map((each) => each.status));
});
await send(client.query(LIST, { coordination }));
const { id } = (await send(client.query(DETAIL, { coordination, session }))).session;
const { node } = await send(client.query(NODE, { id }));
await send(client.mutation(CANCEL, { coordination, session }));
const offline = { requestPolicy: 'cache-only' };
const list = await send(client.query(LIST, { coordination }, offline));
const detail = await send(client.query(DETAIL, { coordination, session }, offline));
watched.unsubscribe();
process.stdout.write(JSON.stringify({ told, id, node, seen, list: list.sessionList, detail: detail.session }));
