// Checks tokens as a relying party in Node would, with jose, and forges some to be refused.
//
// Reads one JSON object from stdin (see `tokens.rs`) and prints one: the library, its version, and for each case what
// was expected and what came out: `accepted`, or `refused: ` and the code of the error.
import { createHmac, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// The libraries lie where `install` put them, not beside this file.
const library = join(process.env.DAYPASS_INTEROP_TOOLS, 'node', 'node_modules', 'jose');
const description = JSON.parse(readFileSync(join(library, 'package.json'), 'utf8'));
const entry = description.exports['.'].default ?? description.exports['.'].import;
const jose = await import(pathToFileURL(join(library, entry)).href);

const given = JSON.parse(readFileSync(0, 'utf8'));
const keySet = jose.createLocalJWKSet(given.jwks);
const checks = [];

class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

// What a relying party has to do offline (RFC 9068, section 4; RFC 8705, section 3).
async function check(token, { keys = keySet, audience = 'billing', issuer = given.issuer, certificate = 'own' } = {}) {
  const { payload } = await jose.jwtVerify(token, keys, {
    algorithms: ['ES256'],
    typ: 'at+jwt',
    audience,
    issuer,
    requiredClaims: ['iss', 'exp', 'aud', 'sub', 'iat', 'jti'],
  });
  const shown = new X509Certificate(Buffer.from(given.certificates[certificate], 'base64'));
  const thumbprint = Buffer.from(shown.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
  if (payload.cnf?.['x5t#S256'] !== thumbprint) throw new Refused('WRONG_CERTIFICATE');
}

async function verify(name, expected, token, options) {
  let got = 'accepted';
  try {
    await check(token, options);
  } catch (error) {
    // Which claim, where it is one of several that could be wrong.
    got = `refused: ${error.code ?? error.name}${error.claim ? ` ${error.claim}` : ''}`;
  }
  checks.push({ case: name, expected, got });
}

const encoded = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

// The same with one bit turned, in the middle.
function flipped(part) {
  const data = Buffer.from(part, 'base64url');
  data[data.length >> 1] ^= 1;
  return data.toString('base64url');
}

const { token } = given;
const [head, body, signature] = token.split('.');
const header = jose.decodeProtectedHeader(token);
const claims = jose.decodeJwt(token);
const stranger = await jose.generateKeyPair('ES256');
const strangerKey = { ...(await jose.exportJWK(stranger.publicKey)), kid: header.kid, alg: 'ES256' };
const ownSet = jose.createLocalJWKSet({ keys: [strangerKey] });
const forged = (extra) => new jose.SignJWT(claims).setProtectedHeader({ ...header, ...extra }).sign(stranger.privateKey);
const publicKey = await jose.exportSPKI(await jose.importJWK(given.jwks.keys.find((key) => key.kid === header.kid), 'ES256', { extractable: true }));

const wider = encoded({ ...claims, scope: 'invoices.read invoices.write' });
const none = `${encoded({ ...header, alg: 'none' })}.${body}.`;
const hmacText = `${encoded({ ...header, alg: 'HS256' })}.${body}`;
const hmac = `${hmacText}.${createHmac('sha256', publicKey).update(hmacText).digest('base64url')}`;

const badSignature = 'refused: ERR_JWS_SIGNATURE_VERIFICATION_FAILED';
const badAlgorithm = 'refused: ERR_JOSE_ALG_NOT_ALLOWED';
await verify('a token as minted', 'accepted', token);
await verify('shown with another certificate', 'refused: WRONG_CERTIFICATE', token, { certificate: 'other' });
await verify('one bit of the signature flipped', badSignature, `${head}.${body}.${flipped(signature)}`);
await verify('one scope added to the claims', badSignature, `${head}.${wider}.${signature}`);
await verify('at another audience', 'refused: ERR_JWT_CLAIM_VALIDATION_FAILED aud', token, { audience: 'shipping' });
await verify('of another issuer', 'refused: ERR_JWT_CLAIM_VALIDATION_FAILED iss', token, { issuer: 'https://other.example' });
await verify('expired', 'refused: ERR_JWT_EXPIRED exp', given.expired);
await verify('algorithm `none`', badAlgorithm, none);
await verify('signed by our public key as an HMAC secret', badAlgorithm, hmac);
await verify("signed by another key under our key's name", badSignature, await forged());
// The forger's own key set, to see that the forgery is sound in all but the key; then with another type.
await verify('that forgery, where its key is trusted', 'accepted', await forged(), { keys: ownSet });
await verify('another type of token, signed by a trusted key', 'refused: ERR_JWT_CLAIM_VALIDATION_FAILED typ', await forged({ typ: 'JWT' }), { keys: ownSet });
await verify("with another broker's key set", 'refused: ERR_JWKS_NO_MATCHING_KEY', token, { keys: jose.createLocalJWKSet(given.other_jwks) });

console.log(JSON.stringify({ tool: 'jose', version: description.version, checks }));
