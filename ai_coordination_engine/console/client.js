// The API over HTTP. It is loaded before all others, and asks for the session of the address at once.

const [config, text] = await Promise.all([
  fetch("/console/config.json").then((found) => found.json()), fetch("/console/documents.graphql").then((found) => found.text()),
]);
/** How this page signs in; undefined where the API needs no token. */
export const signing = config.signIn && await import("./sign_in.js");
export const DOCUMENTS = new Map(text.split(/\n(?=query|mutation)/).slice(1).map((each) => [/^\w+ (\w+)/.exec(each)[1], each]));
const below = location.pathname.replace(/[^/]*$/, "");
/** The tenant that the address names, if any. */
export const tenant = decodeURIComponent(below.split("/").at(-2));
const endpoint = new URL(config.graphql ?? `${below}graphql`, location.href).href;
/** The address of another route of this server, beside the API of the tenant. */
export const beside = (path) => new URL(path, endpoint).href;
export { config, endpoint };

export const authorization = async () => signing?.authorization(config);
const apiError = (message, code) => Object.assign(new Error(message), { code });

export async function post(url, body, signal) {
  const headers = authorization().then((found) => ({ "content-type": "application/json", ...found }));
  const sent = headers.then((found) => fetch(url, { method: "POST", headers: found, body: JSON.stringify(body), signal }));
  const response = await sent.catch((error) => {
    throw signal?.aborted ? error : apiError("The server does not answer.", "OFFLINE");
  });
  if (response.status === 401) signing?.signIn(config);
  return response.json().catch(() => { throw apiError(`The server answered ${response.status} without JSON.`); });
}

/** The data that a document of documents.graphql gets; throws `apiError`. */
export async function ask(name, variables = {}, signal = undefined) {
  const answer = await post(endpoint, { query: DOCUMENTS.get(name), variables }, signal);
  if (answer.errors?.length) throw failure(answer.errors);
  return answer.data;
}

export function failure(errors) {
  const messages = [...new Set(errors.map((each) => each.message))];
  return apiError(messages.join(" "), errors[0].extensions?.code);
}

/** The entries of a list, page after page: at least `most`, or all; `more` tells whether there are others. */
export async function askAll(name, field, variables, most) {
  const found = [];
  let cursor = null;
  do {
    const { [field]: page } = await ask(name, { ...variables, cursor });
    found.push(...page[field]);
    cursor = page.nextCursor;
  } while (cursor && found.length < most);
  return { found, more: Boolean(cursor) };
}

/** The answer for the address of the page: it is asked for before the scripts of the screens are here. */
const [, c, s] = /^#\/session\/([\w.-]+)\/([\w.-]+)(?:\?|$)/.exec(location.hash) ?? [];
const first = s && { of: JSON.stringify(["Session", { c, s }]), answer: ask("Session", { c, s }) };
export const pause = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });
const here = first?.answer.catch(() => {});
/** Ends when such an answer is here, or late: the first frame shows it, instead of one without it before. */
export const begins = Promise.race([here, pause(100)]);
/** Ends when there was time to draw it: what is not needed for that waits. */
export const drawn = here?.then(() => pause(50));

/** The answer to a document that has been asked for already, once. */
export function begun(...asked) {
  const { answer } = first ?? {};
  if (answer) first.answer = undefined;
  return first?.of === JSON.stringify(asked) ? answer : undefined;
}
