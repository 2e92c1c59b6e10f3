//! The port as curl sees it: gRPC written by hand, without and with a certificate.

use std::{fs, path::Path};

use daypass_proto::v1;
use tonic_prost::prost::Message;

use crate::{
    checks::{Checks, run, version},
    scene::Scene,
};

/// One answer.
struct Answer {
    well: bool,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let line = self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map_or("", str::trim)
    }

    /// How it went: gRPC's status where there is one, HTTP's where not.
    fn verdict(&self) -> String {
        match (self.well, self.header("grpc-status")) {
            (false, _) => format!("no answer: {}", self.headers.lines().last().unwrap_or_default()),
            (true, "") => self.headers.lines().next().unwrap_or_default().trim().to_owned(),
            (true, status) => format!("grpc-status {status}"),
        }
    }

    /// The one message in it (gRPC over HTTP/2: a flag, four bytes of length, the message).
    fn message<M: Message + Default>(&self) -> Option<M> {
        let (head, message) = self.body.split_at_checked(5)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        if head[0] != 0 || usize::try_from(length).ok()? != message.len() {
            return None;
        }
        M::decode(message).ok()
    }
}

const GRPC: &str = "--http2 --cacert root -H content-type:application/grpc -H te:trailers";

/// Posts a message to a method.
fn call(scene: &Scene, path: &str, message: &impl Message, more: &str) -> Answer {
    let body = message.encode_to_vec();
    let frame = [&[0][..], &u32::try_from(body.len()).unwrap().to_be_bytes(), &body].concat();
    fs::write(scene.file("frame"), frame).unwrap();
    ask(scene, path, &format!("{GRPC} --data-binary @frame {more}"))
}

fn ask(scene: &Scene, path: &str, more: &str) -> Answer {
    let common = "--silent --show-error --max-time 20 --dump-header headers --output body";
    for file in ["headers", "body"] {
        fs::write(scene.file(file), "").unwrap();
    }
    let arguments = format!("{common} {more} https://{}{path}", scene.address());
    let (well, said) = run(&mut scene.program("curl", &arguments));
    let headers = if well { scene.read("headers") } else { said };
    Answer { well, headers, body: fs::read(scene.file("body")).unwrap() }
}

const PING: &str = "/daypass.v1.DiagnosticsService/Ping";
const BUNDLE: &str = "/daypass.v1.VerificationService/GetTrustBundle";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

const IDENTITY: &str = "--cert identity --key identity.key";

/// What is called, with which certificate, and the answer (16: nobody known, 7: not for this one, 12: not there).
const REFUSED: [(&str, &str, &str, &str); 8] = [
    ("a known caller's method without a certificate", PING, "", "grpc-status 16"),
    ("the same with an audience's certificate", PING, "--cert own --key own.key", "grpc-status 16"),
    ("a mint without a certificate", "/daypass.v1.CredentialService/MintToken", "", "grpc-status 16"),
    (
        "an admin's method as an application",
        "/daypass.v1.DirectoryService/ListObjects",
        IDENTITY,
        "grpc-status 7",
    ),
    (
        "reflection without a certificate",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "",
        "grpc-status 16",
    ),
    ("health as a stream, which is not offered", "/grpc.health.v1.Health/Watch", "", "grpc-status 12"),
    ("a method that does not exist", "/daypass.v1.VerificationService/Nothing", "", "grpc-status 12"),
    ("a path outside gRPC", "/metrics", "", "grpc-status 12"),
];

/// What is open answers to everybody, what is not refuses, and nothing else is there.
pub(crate) fn open_endpoints(scene: &Scene, checks: &mut Checks) {
    let Some(version) = version(Path::new("curl"), "--version") else { return };
    let mut tool = checks.tool("curl", version.split(' ').nth(1).unwrap_or_default());
    let bundle = call(scene, BUNDLE, &v1::GetTrustBundleRequest::default(), "");
    tool.equal("the trust bundle", "grpc-status 0", &bundle.verdict());
    tool.equal("what the trust bundle holds", "the broker's root, 3 audiences, 1 key", &holds(&bundle));
    let health = call(scene, HEALTH, &(), "");
    tool.equal("health", "grpc-status 0", &health.verdict());
    // Field 1, a varint: SERVING.
    tool.equal("what health says", "[8, 1]", &format!("{:?}", health.body.get(5..).unwrap_or_default()));
    let ping = call(scene, PING, &(), IDENTITY);
    tool.equal("a known caller's method with an identity certificate", "grpc-status 0", &ping.verdict());
    for (case, path, certificate, expected) in REFUSED {
        // Without a message: it would be refused before that is read, and this curl takes that for an error.
        let answer = ask(scene, path, &format!("{GRPC} --request POST {certificate}"));
        tool.equal(case, expected, &answer.verdict());
    }
    refused_before(scene, &mut tool);
}

/// What does not get as far as a method.
fn refused_before(scene: &Scene, tool: &mut crate::checks::Tool<'_>) {
    // An open method without a message is not well-formed; elsewhere there is nothing.
    for (path, expected) in [("/", 12), ("/index.html", 12), ("/.well-known/jwks.json", 12), (BUNDLE, 13)] {
        let got = ask(scene, path, "--http2 --cacert root").verdict();
        tool.equal(&format!("GET {path}"), &format!("grpc-status {expected}"), &got);
    }
    let stranger = ask(scene, HEALTH, "--http2");
    tool.refuses(
        "the broker, for who does not trust its root",
        "self-signed certificate in certificate chain",
        &(stranger.well, stranger.headers),
    );
    let old = ask(scene, HEALTH, "--http2 --cacert root --tls-max 1.2");
    tool.refuses("TLS 1.2", "alert protocol version", &(old.well, old.headers));
    let http1 = ask(scene, HEALTH, "--http1.1 --cacert root");
    tool.refuses("HTTP/1.1", "no application protocol", &(http1.well, http1.headers));
    let plain = run(&mut scene
        .program("curl", &format!("--silent --show-error --max-time 20 http://{}/", scene.address())));
    tool.refuses("no TLS at all", "curl: (", &plain);
}

fn holds(answer: &Answer) -> String {
    let Some(bundle) = answer.message::<v1::GetTrustBundleResponse>() else {
        return format!("{} bytes that are no answer", answer.body.len());
    };
    let keys: serde_json::Value = serde_json::from_str(&bundle.jwks).unwrap_or_default();
    format!(
        "{}, {} audiences, {} key",
        if bundle.broker_roots.len() == 1 { "the broker's root" } else { "no root" },
        bundle.audiences.len(),
        keys["keys"].as_array().map_or(0, Vec::len)
    )
}
