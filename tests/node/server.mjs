// An OpenID provider for tests, made of the certified oidc-provider. It is told everything by the environment:
// OP_CONFIGURATION = {"issuer", "port", "clients", "people": {login: claims}, "claims_in_id_token": boolean}.
import { generateKeyPairSync } from 'node:crypto';

import Provider from 'oidc-provider';

const told = JSON.parse(process.env.OP_CONFIGURATION);
const SCOPES = 'openid profile email groups';

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: 'tests', use: 'sig', alg: 'RS256' };
}

// Nobody is asked for consent: whoever has signed in has agreed to everything.
async function loadExistingGrant(ctx) {
  const { client, session, provider } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(SCOPES);
  await grant.save();
  return grant;
}

const provider = new Provider(told.issuer, {
  clients: told.clients,
  jwks: { keys: [signingKey()] },
  cookies: { keys: ['only-for-tests'] },
  scopes: SCOPES.split(' '),
  claims: {
    openid: ['sub'],
    profile: ['given_name', 'family_name', 'name', 'preferred_username'],
    email: ['email', 'email_verified'],
    groups: ['groups'],
  },
  conformIdTokenClaims: !told.claims_in_id_token,
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: true }, // a page that takes any password
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
  },
  findAccount: (_ctx, sub) => told.people[sub] && { accountId: sub, claims: () => ({ sub, ...told.people[sub] }) },
  loadExistingGrant,
});

provider.listen(told.port, '127.0.0.1');
