// Runs the documents with Apollo Client and prints what its cache holds, as JSON.
import { gql } from '@apollo/client/core';
import { apollo } from './apollo-client.mjs';
import { CANCEL, DETAIL, LIST, NODE, complaints } from './documents.mjs';

const told = complaints();
const [url, coordination, session] = process.argv.slice(2);
const client = apollo(url);
const list = { query: gql(LIST), variables: { coordination } };
const detail = { query: gql(DETAIL), variables: { coordination, session } };

const seen = [];
const watched = client.watchQuery(list).subscribe(({ data, dataState }) => {
  if (dataState === 'complete') seen.push(data.sessionList.sessionList.map((each) => each.status));
});
const found = await client.query(detail);
const id = found.data.session.id;
const node = await client.query({ query: gql(NODE), variables: { id } });
const before = client.cache.extract();
await client.mutate({ mutation: gql(CANCEL), variables: { coordination, session } });
await new Promise((done) => setTimeout(done, 50));
watched.unsubscribe();
process.stdout.write(
  JSON.stringify({
    told,
    id,
    node: node.data.node,
    seen,
    detail: client.readQuery(detail).session,
    before,
    after: client.cache.extract(),
  }),
);
