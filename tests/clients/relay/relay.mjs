// Runs the compiled documents with Relay and prints what its store holds, as JSON.
import runtime from 'relay-runtime';
import { relay } from './relay-client.mjs';
import cancel from './src/__generated__/screensCancelMutation.graphql.js';
import list from './src/__generated__/screensListQuery.graphql.js';
import one from './src/__generated__/screensSessionQuery.graphql.js';
import refetch from './src/__generated__/screensSessionRefetchQuery.graphql.js';

const [url, coordination, session] = process.argv.slice(2);
const environment = relay(url);
const fetched = (query, variables) => runtime.fetchQuery(environment, query, variables).toPromise();

const { sessionList } = await fetched(list, { coordination });
const descriptor = runtime.createOperationDescriptor(list, { coordination });
environment.retain(descriptor);
const seen = [];
const statuses = (data) => data.sessionList.sessionList.map((each) => each.status);
environment.subscribe(environment.lookup(descriptor.fragment), ({ data }) => seen.push(statuses(data)));
await fetched(one, { coordination, session });
const id = sessionList.sessionList.find((each) => each.sessionUuid === session).id;
await fetched(refetch, { id });
await new Promise((onCompleted, onError) => {
  runtime.commitMutation(environment, { mutation: cancel, variables: { coordination, session }, onCompleted, onError });
});
const store = environment.getStore().getSource().toJSON();
const records = Object.values(store).filter((each) => each.id);
process.stdout.write(
  JSON.stringify({
    id,
    before: statuses({ sessionList }),
    seen,
    node: store['client:root'][`node(id:"${id}")`],
    keys: records.map((each) => [each.__typename, each.__id === each.id]),
    agents: records.filter((each) => each.__typename === 'SessionAgentType').map((each) => [each.agentName, each.state]),
  }),
);
