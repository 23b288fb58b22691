// Runs the server audits of graphql-http against the URL given and writes the results to stdout as JSON.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [url, installed] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${installed}/package.json`));
const { serverAudits } = require('graphql-http');

const results = [];
for (const audit of serverAudits({ url })) {
  const { id, name, status, reason } = await audit.fn();
  results.push({ id, name, status, reason });
}
process.stdout.write(JSON.stringify(results));
