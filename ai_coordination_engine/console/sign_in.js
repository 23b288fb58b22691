// Sign-in with OpenID Connect: authorization code with PKCE (RFC 7636). Tokens are kept in
// sessionStorage alone; they are in no address and no log.

const KEPT = "ace-tokens";
const ASKED = "ace-sign-in";
const random = () => encoded(crypto.getRandomValues(new Uint8Array(32)));

const encoded = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const kept = (name) => JSON.parse(sessionStorage.getItem(name) ?? "null");
const keep = (name, value) => sessionStorage.setItem(name, JSON.stringify(value));
const home = () => `${location.origin}/`;

let known;
async function provider({ issuer, authorizationEndpoint: authorization_endpoint, tokenEndpoint: token_endpoint }) {
  if (authorization_endpoint && token_endpoint) return { authorization_endpoint, token_endpoint };
  return (known ??= fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`).then((found) => found.json()));
}

let leaving;
/** Leave the page for the provider's; it comes back with a code. */
export const signIn = ({ signIn: given }) => given && (leaving ??= leave(given));

async function leave(given) {
  sessionStorage.removeItem(KEPT);
  const asked = { state: random(), verifier: random(), at: location.hash };
  keep(ASKED, asked);
  const challenge = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(asked.verifier));
  const address = new URL((await provider(given)).authorization_endpoint);
  const parameters = {
    response_type: "code", client_id: given.clientId, redirect_uri: home(), state: asked.state,
    scope: given.scope ?? "openid", code_challenge: encoded(challenge), code_challenge_method: "S256",
  };
  for (const each of Object.entries(parameters)) address.searchParams.set(...each);
  location.assign(address);
  await new Promise(() => {}); // the page goes away
}

async function tokens(given, parameters) {
  const { token_endpoint: address } = await provider(given);
  const body = new URLSearchParams({ client_id: given.clientId, ...parameters });
  const response = await fetch(address, { method: "POST", body });
  if (!response.ok) return null;
  const found = await response.json();
  const last = kept(KEPT);
  keep(KEPT, {
    token: given.token === "id" ? found.id_token : found.access_token,
    refresh: found.refresh_token ?? last?.refresh,
    until: Date.now() + (found.expires_in ?? 3600) * 1000,
  });
  return kept(KEPT);
}

/** Take the code that the provider sent, if this page asked for it, out of the address. */
async function finish(given) {
  const found = new URLSearchParams(location.search);
  const asked = kept(ASKED);
  if (!found.has("state") || !asked) return;
  sessionStorage.removeItem(ASKED);
  history.replaceState(null, "", location.pathname + asked.at);
  dispatchEvent(new HashChangeEvent("hashchange"));
  if (found.get("state") !== asked.state || !found.has("code")) return;
  await tokens(given, {
    grant_type: "authorization_code", code: found.get("code"), redirect_uri: home(),
    code_verifier: asked.verifier,
  });
}

const renewed = async (given, token) => token && tokens(given, { grant_type: "refresh_token", refresh_token: token });

let finishing;
let renewing;
/** The headers of a request; leaves the page to sign in when there is no token. */
export async function authorization(config) {
  const given = config.signIn;
  if (!given) return {};
  await (finishing ??= finish(given));
  let held = kept(KEPT);
  if (held && held.until - Date.now() < 30_000) {
    renewing ??= renewed(given, held.refresh).catch(() => null).finally(() => { renewing = undefined; });
    held = await renewing;
  }
  if (!held) await signIn(config);
  return { authorization: `Bearer ${held.token}` };
}

export function signOut() {
  sessionStorage.removeItem(KEPT);
  location.reload();
}
