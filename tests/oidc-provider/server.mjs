// An OpenID provider for tests: oidc-provider over HTTPS, with users who sign in by their
// name alone. Called with a directory that has the package, and settings as JSON. Keys are
// new with each start.

import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, json] = process.argv.slice(2);
const settings = JSON.parse(json);
const entry = join(modules, 'node_modules/oidc-provider/lib/index.js');
const { default: Provider } = await import(pathToFileURL(entry));

// Read each time: they change while it runs.
const users = () => JSON.parse(readFileSync(settings.users));

// Whoever started it holds the other end.
process.stdin.on('end', () => process.exit()).resume();

const server = createServer({
  cert: readFileSync(settings.certificate),
  key: readFileSync(settings.key),
});
await new Promise((done) => server.listen(settings.port, settings.address, done));
const { port } = server.address();

const RSA = { modulusLength: 2048 };
const P256 = { namedCurve: 'P-256' };
const algorithm = settings.client.id_token_signed_response_alg;

// By way of PEM: Node 20 can wait for itself forever where a new key is exported as JWK
// and what generated it is collected meanwhile.
function signing(type, options) {
  const privateKeyEncoding = { type: 'pkcs8', format: 'pem' };
  const publicKeyEncoding = { type: 'spki', format: 'pem' };
  const pair = generateKeyPairSync(type, { ...options, privateKeyEncoding, publicKeyEncoding });
  return { ...createPrivateKey(pair.privateKey).export({ format: 'jwk' }), use: 'sig' };
}

const provider = new Provider(`https://${settings.address}:${port}`, {
  clients: [settings.client],
  clientAuthMethods: [settings.client.token_endpoint_auth_method],
  jwks: { keys: [algorithm === 'RS256' ? signing('rsa', RSA) : signing('ec', P256)] },
  enabledJWA: { idTokenSigningAlgValues: [algorithm] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['groups'] },
  // true: what a scope asks for is told by the userinfo endpoint alone.
  conformIdTokenClaims: settings.claims_by_userinfo,
  // A user who has left is none, whatever was granted before.
  findAccount: (_, id) =>
    id in users() ? { accountId: id, claims: () => ({ sub: id, ...users()[id] }) } : undefined,
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['for tests'] },
  ttl: { Interaction: 600, Session: 600, Grant: 600, IdToken: 600, AccessToken: 600 },
});

// `?user=NAME` signs in and consents to all that is asked for; without it a browser asks who
// it is, and for anybody else the user says no.
async function interact(request, response) {
  const user = new URL(request.url, provider.issuer).searchParams.get('user');
  if (user === null && request.headers.accept?.includes('text/html')) {
    const links = Object.keys(users()).map((name) => `<p><a href="?user=${name}">${name}</a>`);
    response.setHeader('Content-Type', 'text/html');
    return response.end(`<!doctype html><title>Provider</title><h1>Who?</h1>${links.join('')}`);
  }
  if (!(user in users())) {
    const refusal = { error: 'access_denied', error_description: 'the user said no' };
    return provider.interactionFinished(request, response, refusal);
  }
  const { params } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId: user, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { login: { accountId: user }, consent });
}

const answer = provider.callback();
server.on('request', (request, response) => {
  if (!request.url.startsWith('/interaction/')) return answer(request, response);
  return interact(request, response).catch((error) => {
    response.statusCode = 400;
    response.end(String(error));
  });
});
console.log(`ready ${port}`);
