//! Certificates, requests and handshakes, by the openssl command.

use std::path::Path;

use daypass_proto::v1::{self, credential_service_client::CredentialServiceClient};

use crate::{
    checks::{Checks, Tool, run, version},
    scene::Scene,
};

fn tool(checks: &mut Checks) -> Option<Tool<'_>> {
    let version = version(Path::new("openssl"), "version")?;
    Some(checks.tool("openssl", version.split(' ').nth(1)?.to_owned()))
}

/// Runs openssl among the files.
fn openssl(scene: &Scene, arguments: &str) -> (bool, String) {
    run(&mut scene.program("openssl", arguments))
}

/// Client certificates are good under their audience's CA, and nowhere else.
pub(crate) fn certificates(scene: &Scene, checks: &mut Checks) {
    let Some(mut tool) = tool(checks) else { return };
    let verify = |leaf: &str, anchor: &str, purpose: &str| {
        // No trust of this machine's own has a say.
        let alone = "-no-CApath -no-CAstore -x509_strict";
        openssl(scene, &format!("verify {alone} -purpose {purpose} -CAfile {anchor} {leaf}"))
    };
    let stranger = "unable to get local issuer certificate";
    tool.accepts(
        "verify a client certificate by its audience's bundle",
        &verify("own", "billing", "sslclient"),
    );
    tool.refuses("the same by another audience's", stranger, &verify("own", "shipping", "sslclient"));
    tool.refuses("the same by the broker's root", stranger, &verify("own", "root", "sslclient"));
    let as_server = verify("own", "billing", "sslserver");
    tool.refuses("the same as a server's", "unsuitable certificate purpose", &as_server);
    tool.accepts(
        "verify an identity certificate by the broker's root",
        &verify("identity", "root", "sslclient"),
    );
    tool.refuses("the same by an audience's bundle", stranger, &verify("identity", "billing", "sslclient"));
    let later = "-attime 4000000000";
    let late = openssl(scene, &format!("verify -no-CApath {later} -CAfile billing own"));
    tool.refuses("verify it in the year 2096", "certificate has expired", &late);
    contents(scene, &mut tool);
}

/// One extension of the client certificate, as openssl prints it.
fn extension(scene: &Scene, name: &str) -> String {
    let (_, said) = openssl(scene, &format!("x509 -in own -noout -ext {name}"));
    said.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn contents(scene: &Scene, tool: &mut Tool<'_>) {
    for (case, name, expected) in [
        (
            "one URI for a name",
            "subjectAltName",
            "X509v3 Subject Alternative Name: URI:spiffe://test.example/application/sync",
        ),
        ("for clients alone", "extendedKeyUsage", "X509v3 Extended Key Usage: TLS Web Client Authentication"),
        ("critical key usage", "keyUsage", "X509v3 Key Usage: critical Digital Signature"),
        ("no CA, critically", "basicConstraints", "X509v3 Basic Constraints: critical CA:FALSE"),
    ] {
        tool.equal(case, expected, &extension(scene, name));
    }
    let text = openssl(scene, "x509 -in own -noout -text -certopt ext_error");
    let whole = text.1.contains("Signature Algorithm: ecdsa-with-SHA256") && text.1.contains("CA:FALSE");
    tool.equal("read it whole", "true", &(text.0 && whole).to_string());
}

/// TLS 1.3 with HTTP/2 by the broker's root, and nothing else.
pub(crate) fn handshakes(scene: &Scene, checks: &mut Checks) {
    let Some(mut tool) = tool(checks) else { return };
    let connect = |more: &str| {
        let alone = "-no-CApath -no-CAstore -verify_return_error -alpn h2";
        openssl(scene, &format!("s_client -connect {} {alone} {more}", scene.address()))
    };
    let good = connect("-CAfile root -tls1_3 -verify_ip 127.0.0.1");
    tool.accepts("shake hands by TLS 1.3", &good);
    let agreed = good.1.contains("New, TLSv1.3") && good.1.contains("ALPN protocol: h2");
    tool.equal("agree on TLS 1.3 and HTTP/2", "true", &agreed.to_string());
    tool.refuses("shake hands by TLS 1.2", "alert protocol version", &connect("-CAfile root -tls1_2"));
    let strange = connect("-CAfile billing -tls1_3");
    tool.refuses(
        "take an audience's CA for the broker's",
        "self-signed certificate in certificate chain",
        &strange,
    );
    let name = connect("-CAfile root -tls1_3 -verify_hostname other.example");
    tool.refuses("take it for another host", "ostname mismatch", &name);
    let http1 = run(&mut scene.program(
        "openssl",
        &format!("s_client -connect {} -CAfile root -no-CApath -alpn http/1.1", scene.address()),
    ));
    tool.refuses("agree on HTTP/1.1", "no application protocol", &http1);
}

/// Requests made by openssl, taken by the broker or refused by it.
pub(crate) async fn requests(scene: &Scene, checks: &mut Checks) {
    let Some(mut tool) = tool(checks) else { return };
    for (key, options) in [
        ("P-256", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..]),
        ("Ed25519", &["-newkey", "ed25519"]),
        ("RSA", &["-newkey", "rsa:2048"]),
    ] {
        let Some(request) = scene.csr(options) else { return };
        let minted = mint(scene, request).await;
        tool.equal(&format!("a request for a {key} key"), "minted for that key", &same_key(scene, minted));
    }
    let names = ["-newkey", "ed25519", "-addext", "subjectAltName=DNS:evil.example"];
    let Some(request) = scene.csr(&names) else { return };
    let refused = mint(scene, request.clone()).await.map_or_else(|error| error, |_| "minted".to_owned());
    tool.equal("a request for a name", "refused: csr-asks-for-names", &refused);
    let mut bent = scene.csr(&["-newkey", "ed25519"]).unwrap();
    *bent.last_mut().unwrap() ^= 1;
    let refused = mint(scene, bent).await.map_or_else(|error| error, |_| "minted".to_owned());
    tool.equal("a request with a bent signature", "refused: csr-bad-signature", &refused);
}

/// Mints by the bare call; the certificate, or the reason of the refusal.
async fn mint(scene: &Scene, csr: Vec<u8>) -> Result<Vec<u8>, String> {
    use tonic_types::StatusExt as _;
    let mut stub = CredentialServiceClient::new(scene.application.connection().channel());
    let request =
        v1::MintCertificateRequest { audience: "billing".into(), csr: csr.into(), ..Default::default() };
    match stub.mint_certificate(request).await {
        Ok(answer) => Ok(answer.into_inner().certificate.unwrap().der.to_vec()),
        Err(status) => {
            let info = status.get_details_error_info();
            Err(format!("refused: {}", info.map_or_else(|| status.to_string(), |info| info.reason)))
        }
    }
}

/// Is the certificate for the key of the request that lies here, by openssl's reading of both?
fn same_key(scene: &Scene, minted: Result<Vec<u8>, String>) -> String {
    let der = match minted {
        Ok(der) => der,
        Err(refused) => return refused,
    };
    scene.put("minted", &der);
    let (_, certified) = openssl(scene, "x509 -in minted -noout -pubkey");
    let (_, asked) = openssl(scene, "req -inform DER -in request.der -noout -pubkey");
    let verified = openssl(scene, "verify -no-CApath -CAfile billing minted");
    match (verified.0, certified == asked && certified.contains("BEGIN PUBLIC KEY")) {
        (true, true) => "minted for that key".to_owned(),
        (false, _) => verified.1,
        (true, false) => format!("{asked} became {certified}"),
    }
}
