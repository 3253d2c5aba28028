// An OpenID provider on a free port of 127.0.0.1, with refresh-token rotation and reuse detection. It signs everybody in
// as the same user without asking, and says on standard output, one JSON object a line, where it is and what happens.

import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const tell = (event) => console.log(JSON.stringify(event));

const listener = createServer();
await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${listener.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'client',
      client_secret: 'a-secret-of-the-test',
      redirect_uris: ['http://127.0.0.1:8123/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_post',
    },
  ],
  pkce: { required: () => true },
  scopes: ['openid', 'email', 'profile', 'https://www.googleapis.com/auth/gmail.modify'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  conformIdTokenClaims: false,
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  findAccount: async (_, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, email: 'reader@gmail.example', email_verified: true, name: 'Reader' }),
  }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
  ttl: {
    AccessToken: 3600, RefreshToken: 86400, Grant: 86400, IdToken: 3600, Session: 3600, Interaction: 600,
    AuthorizationCode: 60,
  },
});

provider.on('grant.success', (ctx) => tell({ event: 'granted', type: ctx.oidc.params.grant_type }));
provider.on('grant.error', (_, error) => tell({ event: 'refused', error: error.error }));
provider.on('grant.revoked', () => tell({ event: 'revoked' }));

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { prompt, params, session } = await provider.interactionDetails(ctx.req, ctx.res);
  let result = { login: { accountId: 'subject-1' } };
  if (prompt.name === 'consent') {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result = { consent: { grantId: await grant.save() } };
  }
  return provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
});

listener.on('request', provider.callback());
tell({ event: 'ready', issuer });
