"""Checks tokens as a relying party in Python would, with PyJWT and cryptography, and forges some to be refused.

Reads one JSON object from stdin (see `tokens.rs`) and prints one: the library, its version, and for each case what was
expected and what came out: `accepted`, or `refused: ` and the name of the error.
"""

import base64
import hashlib
import hmac
import json
import sys

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class WrongType(Exception):
    """The header says that it is something else than an access token."""


class WrongCertificate(Exception):
    """It is bound to another certificate than the one shown."""


given = json.load(sys.stdin)
key_set = jwt.PyJWKSet.from_dict(given["jwks"])
certificates = {name: base64.b64decode(der) for name, der in given["certificates"].items()}
checks = []


def check(token, keys=key_set, audience="billing", issuer=given["issuer"], certificate="own"):
    """What a relying party has to do offline (RFC 9068, section 4; RFC 8705, section 3)."""
    header = jwt.get_unverified_header(token)
    if header.get("typ") != "at+jwt":
        raise WrongType
    claims = jwt.decode(
        token,
        keys[header["kid"]],
        algorithms=["ES256"],
        audience=audience,
        issuer=issuer,
        options={"require": ["iss", "exp", "aud", "sub", "iat", "jti"]},
    )
    shown = x509.load_der_x509_certificate(certificates[certificate]).fingerprint(hashes.SHA256())
    if claims["cnf"]["x5t#S256"] != encoded(shown):
        raise WrongCertificate
    return claims


def case(name, expected, token, **arguments):
    try:
        check(token, **arguments)
        got = "accepted"
    except Exception as error:  # Each kind is a verdict, the right one or not.
        got = f"refused: {type(error).__name__}"
    checks.append({"case": name, "expected": expected, "got": got})


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def flipped(part):
    """The same with one bit turned, in the middle."""
    data = bytearray(decoded(part))
    data[len(data) // 2] ^= 1
    return encoded(bytes(data))


token = given["token"]
head, body, signature = token.split(".")
header, claims = json.loads(decoded(head)), json.loads(decoded(body))
stranger = ec.generate_private_key(ec.SECP256R1())
stranger_key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(stranger.public_key()))
key = key_set[header["kid"]].key
public = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def by_hand(header, sign):
    signed = encoded(json.dumps(header).encode()) + "." + body
    return signed + "." + encoded(sign(signed.encode()))


wider = encoded(json.dumps({**claims, "scope": "invoices.read invoices.write"}).encode())
as_stranger = {"algorithm": "ES256", "headers": {**header}}
own_set = jwt.PyJWKSet.from_dict({"keys": [{**stranger_key, "kid": header["kid"], "alg": "ES256"}]})

case("a token as minted", "accepted", token)
case("shown with another certificate", "refused: WrongCertificate", token, certificate="other")
case("one bit of the signature flipped", "refused: InvalidSignatureError", f"{head}.{body}.{flipped(signature)}")
case("one scope added to the claims", "refused: InvalidSignatureError", f"{head}.{wider}.{signature}")
case("at another audience", "refused: InvalidAudienceError", token, audience="shipping")
case("of another issuer", "refused: InvalidIssuerError", token, issuer="https://other.example")
case("expired", "refused: ExpiredSignatureError", given["expired"])
case("algorithm `none`", "refused: InvalidAlgorithmError", by_hand({**header, "alg": "none"}, lambda _: b""))
case(
    "signed by our public key as an HMAC secret",
    "refused: InvalidAlgorithmError",
    by_hand({**header, "alg": "HS256"}, lambda text: hmac.new(public, text, hashlib.sha256).digest()),
)
case("signed by another key under our key's name", "refused: InvalidSignatureError", jwt.encode(claims, stranger, **as_stranger))
# The forger's own key set, to see that the forgery is sound in all but the key; then with another type.
case("that forgery, where its key is trusted", "accepted", jwt.encode(claims, stranger, **as_stranger), keys=own_set)
as_stranger["headers"]["typ"] = "JWT"
case("another type of token, signed by a trusted key", "refused: WrongType", jwt.encode(claims, stranger, **as_stranger), keys=own_set)
case("with another broker's key set", "refused: KeyError", token, keys=jwt.PyJWKSet.from_dict(given["other_jwks"]))

print(json.dumps({"tool": "PyJWT", "version": jwt.__version__, "checks": checks}))
