//! The table of methods: who may call each at all, how long it may take, how many at once. A method that is not in
//! it does not start, and a row without its method does not either.

use std::time::Duration;

use daypass_core::event::Method;
use daypass_credential::NodeKind;

/// Who may call a method at all; what they may do with it is a decision of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callers {
    /// Everybody, without a certificate.
    Open,
    /// Whoever shows an identity certificate in force.
    Known,
    /// Only identities of this kind.
    Only(NodeKind),
    /// Only persons who may write the directory: judged before anything they send is read.
    Writers,
    /// Only persons who may read everything: admins and auditors.
    Readers,
}

/// One method.
#[derive(Debug)]
pub(crate) struct Row {
    /// Service and method, as `daypass.v1.CredentialService/MintToken`.
    pub(crate) path: &'static str,
    /// What events and logs call it.
    pub(crate) method: Method,
    /// Who may call it.
    pub(crate) callers: Callers,
    /// How long it may take.
    pub(crate) deadline: Duration,
    /// May it be called while the broker's clock is not believed?
    pub(crate) any_clock: bool,
    /// How many may be under way at once, for each kind of caller.
    pub(crate) at_once: usize,
}

/// What events call enrolment, whose caller is not known to the gate.
pub(crate) const ENROLL: Method = Method::new("EnrollmentService/Enroll");

const PACKAGE: &str = "daypass.v1.";

macro_rules! table {
    ($($path:literal, $callers:expr, $secs:literal s, $at_once:literal;)*) => {
        /// Every method that the broker answers to.
        pub(crate) static TABLE: &[Row] = &[$(Row {
            path: $path,
            method: Method::new(short($path)),
            callers: $callers,
            any_clock: goes_on($path),
            deadline: Duration::from_secs($secs),
            at_once: $at_once,
        },)*];
    };
}

table! {
    "daypass.v1.AuditService/ExportLog", Callers::Readers, 10 s, 2;
    "daypass.v1.AuditService/GetCheckpoint", Callers::Known, 10 s, 1024;
    "daypass.v1.AuditService/ProveEvent", Callers::Known, 10 s, 64;
    "daypass.v1.AuditService/ReadEvents", Callers::Readers, 10 s, 16;
    "daypass.v1.CredentialService/GetCredential", Callers::Known, 10 s, 256;
    "daypass.v1.CredentialService/MintCertificate", Callers::Only(NodeKind::Application), 10 s, 1024;
    "daypass.v1.CredentialService/MintToken", Callers::Only(NodeKind::Application), 10 s, 4096;
    "daypass.v1.DiagnosticsService/ExplainRefusal", Callers::Known, 10 s, 64;
    "daypass.v1.DiagnosticsService/Ping", Callers::Known, 10 s, 4096;
    "daypass.v1.DirectoryService/ForgetPerson", Callers::Writers, 120 s, 2;
    "daypass.v1.DirectoryService/GetObject", Callers::Known, 10 s, 256;
    "daypass.v1.DirectoryService/ListObjects", Callers::Only(NodeKind::Person), 10 s, 64;
    "daypass.v1.DirectoryService/PlanObjects", Callers::Writers, 30 s, 2;
    "daypass.v1.DirectoryService/PutObject", Callers::Only(NodeKind::Person), 10 s, 64;
    "daypass.v1.EnrollmentService/Enroll", Callers::Open, 10 s, 128;
    "daypass.v1.EnrollmentService/OpenEnrollment", Callers::Only(NodeKind::Person), 10 s, 64;
    "daypass.v1.EnrollmentService/RenewIdentity", Callers::Known, 10 s, 256;
    "daypass.v1.OffboardingService/End", Callers::Known, 30 s, 1024;
    "daypass.v1.OffboardingService/GetReceipt", Callers::Only(NodeKind::Person), 30 s, 64;
    "daypass.v1.OffboardingService/Offboard", Callers::Only(NodeKind::Person), 30 s, 1024;
    "daypass.v1.OffboardingService/PreviewOffboarding", Callers::Only(NodeKind::Person), 30 s, 16;
    "daypass.v1.OffboardingService/Resume", Callers::Writers, 10 s, 64;
    "daypass.v1.VerificationService/FollowRevocations", Callers::Only(NodeKind::Verifier), 10 s, 4096;
    "daypass.v1.VerificationService/GetTrustBundle", Callers::Open, 10 s, 256;
    "daypass.v1.VerificationService/Introspect", Callers::Only(NodeKind::Verifier), 5 s, 4096;
    "daypass.v1.VerificationService/ListVerifiers", Callers::Readers, 10 s, 64;
    "grpc.health.v1.Health/Check", Callers::Open, 5 s, 1024;
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Callers::Known, 10 s, 16;
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Callers::Known, 10 s, 16;
}

/// Does this go on under a clock that is not believed? Ends do, with what belongs to them, and so do those who have to hear
/// of ends, and what clients ask before they call anything.
const fn goes_on(path: &str) -> bool {
    matches!(
        path.as_bytes(),
        b"daypass.v1.AuditService/GetCheckpoint"
            | b"daypass.v1.OffboardingService/End"
            | b"daypass.v1.OffboardingService/GetReceipt"
            | b"daypass.v1.OffboardingService/Offboard"
            | b"daypass.v1.OffboardingService/PreviewOffboarding"
            | b"daypass.v1.VerificationService/FollowRevocations"
    )
}

/// The service of which one method takes large messages, and that method.
const LARGE_SERVICE: &str = "daypass.v1.DirectoryService/";
const LARGE_METHOD: &str = "daypass.v1.DirectoryService/PlanObjects";

impl Row {
    /// Does its answer go on after it has begun? Then the call has its place for as long.
    pub(crate) fn streams(&self) -> bool {
        matches!(
            self.path,
            "daypass.v1.AuditService/ExportLog"
                | "daypass.v1.AuditService/ReadEvents"
                | "daypass.v1.OffboardingService/GetReceipt"
                | "daypass.v1.VerificationService/FollowRevocations"
        )
    }

    /// Is its message to be kept small apart from what its service takes?
    pub(crate) fn keeps_small(&self) -> bool {
        self.path.starts_with(LARGE_SERVICE) && self.path != LARGE_METHOD
    }
}

/// The path without our own package before it.
const fn short(path: &'static str) -> &'static str {
    let (bytes, prefix) = (path.as_bytes(), PACKAGE.as_bytes());
    let mut at = 0;
    while at < prefix.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time; `at` is below both lengths")]
        if at >= bytes.len() || bytes[at] != prefix[at] {
            return path;
        }
        at += 1;
    }
    path.split_at(at).1
}

/// The row of a request's path, with its place in the table.
pub(crate) fn find(path: &str) -> Option<(usize, &'static Row)> {
    let path = path.strip_prefix('/')?;
    TABLE.iter().enumerate().find(|(_, row)| row.path == path)
}

/// What the descriptors and the table disagree about: methods of ours without a row, and rows without a method.
pub(crate) fn unlisted(descriptors: &[u8]) -> Result<Vec<String>, prost::DecodeError> {
    let files = <prost_types::FileDescriptorSet as prost::Message>::decode(descriptors)?;
    let mut methods = Vec::new();
    for file in &files.file {
        for service in &file.service {
            let path = |method: &str| format!("{}.{}/{method}", file.package(), service.name());
            methods.extend(service.method.iter().map(|method| path(method.name())));
        }
    }
    let listed = |path: &String| TABLE.iter().any(|row| row.path == path);
    let exists = |row: &&Row| !row.path.starts_with(PACKAGE) || methods.iter().any(|path| row.path == path);
    let missing = methods.iter().filter(|path| !listed(path)).cloned();
    Ok(missing.chain(TABLE.iter().filter(|row| !exists(row)).map(|row| row.path.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_row_and_every_row_its_method() {
        assert_eq!(unlisted(daypass_proto::DESCRIPTORS).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn only_what_has_to_be_is_open() {
        let open: Vec<&str> =
            TABLE.iter().filter(|row| row.callers == Callers::Open).map(|row| row.path).collect();
        assert_eq!(
            open,
            [
                "daypass.v1.EnrollmentService/Enroll",
                "daypass.v1.VerificationService/GetTrustBundle",
                "grpc.health.v1.Health/Check",
            ]
        );
    }

    #[test]
    fn only_ends_and_what_comes_before_them_go_on_under_any_clock() {
        let any: Vec<&str> = TABLE.iter().filter(|row| row.any_clock).map(|row| row.path).collect();
        assert_eq!(
            any,
            [
                "daypass.v1.AuditService/GetCheckpoint",
                "daypass.v1.OffboardingService/End",
                "daypass.v1.OffboardingService/GetReceipt",
                "daypass.v1.OffboardingService/Offboard",
                "daypass.v1.OffboardingService/PreviewOffboarding",
                "daypass.v1.VerificationService/FollowRevocations",
            ]
        );
    }

    #[test]
    fn methods_are_called_by_their_short_names() {
        let (_, row) = find("/daypass.v1.CredentialService/MintToken").unwrap();
        assert_eq!(row.method.as_str(), "CredentialService/MintToken");
        assert!(find("daypass.v1.CredentialService/MintToken").is_none());
        assert!(find("/daypass.v1.CredentialService/Nothing").is_none());
    }
}
