//! An example company: its directory as files that `put` takes, its first admin, and how its parties enrol.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use daypass_credential::{EnrollmentCode, NodeId};
use daypass_sdk::{
    Address, Connection, Directory, Home, Identity, PrivateKey, make_private_folder, write_private,
    write_public,
};
use tempfile::TempDir;

use crate::{directory::Manifest, failure::Failure};

/// The first admin.
pub(crate) const ADMIN: &str = "dana";

macro_rules! objects {
    ($($file:literal),* $(,)?) => {
        /// The objects in an order in which they can be written, with the names of their files.
        pub(crate) const OBJECTS: &[(&str, &str)] = &[$(($file, include_str!(concat!("objects/", $file)))),*];
    };
}

objects! {
    "01-person-lee.toml",
    "02-person-rosa.toml",
    "03-vendor-harbor.toml",
    "04-vendor-skiff.toml",
    "05-contract-harbor.toml",
    "06-contract-skiff.toml",
    "07-audience-billing.toml",
    "08-audience-billing-staging.toml",
    "09-application-invoice-sync.toml",
    "10-application-invoice-sync-staging.toml",
    "11-verifier-billing-api.toml",
}

/// A folder for its owner alone, which is gone when it is dropped.
pub(crate) fn temporary_folder(prefix: &str) -> Result<TempDir, Failure> {
    let private = Permissions::from_mode(0o700);
    let made = tempfile::Builder::new().prefix(prefix).permissions(private).tempdir();
    made.map_err(|error| Failure::bad(format!("cannot make a temporary folder: {error}")))
}

/// A key pair in files.
#[derive(Debug)]
pub(crate) struct KeyFiles {
    pub(crate) key: PrivateKey,
    pub(crate) public: PathBuf,
}

/// Makes the first admin's key. The private half never goes near the broker.
pub(crate) fn admin_key(folder: &Path) -> Result<KeyFiles, Failure> {
    let (key, public) = (PrivateKey::generate()?, folder.join("admin.key.pub"));
    write_private(&folder.join("admin.key"), key.to_pem().as_bytes())?;
    write_public(&public, key.public_pem().as_bytes())?;
    Ok(KeyFiles { key, public })
}

/// Enrols the first admin, with the key that `init` was told of.
pub(crate) async fn enroll_admin(
    folder: &Path,
    broker: &Address,
    code: &EnrollmentCode,
    key: PrivateKey,
) -> Result<Identity, Failure> {
    Ok(daypass_sdk::enroll(&Home::at(folder.join("admin")), broker, code, Some(key)).await?)
}

/// Opens an enrolment as the admin, and spends its code as the one who got it.
pub(crate) async fn enroll(
    folder: &Path,
    broker: &Address,
    admin: &Directory,
    subject: &NodeId,
) -> Result<Connection, Failure> {
    let opened = admin.open_enrollment(subject, None).await?;
    let home = Home::at(folder.join(subject.name.as_str()));
    let identity = daypass_sdk::enroll(&home, broker, &opened.code, None).await?;
    Ok(Connection::open(&identity).await?)
}

/// Writes every object, and says how many there are.
pub(crate) async fn load(admin: &Directory) -> Result<usize, Failure> {
    for (file, text) in OBJECTS {
        let broken = |why| Failure::Internal(format!("the example `{file}` is broken: {why}"));
        let object = Manifest::parse(text).and_then(|manifest| manifest.to_wire()).map_err(broken)?;
        admin.put(object, None).await?;
    }
    Ok(OBJECTS.len())
}

/// Leaves the objects as files, to try things out with.
pub(crate) fn write_down(folder: &Path) -> Result<(), Failure> {
    make_private_folder(folder)?;
    for (file, text) in OBJECTS {
        write_public(&folder.join(file), text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_named_after_what_they_hold() {
        for (file, text) in OBJECTS {
            let id = Manifest::parse(text).unwrap_or_else(|error| panic!("{file}: {error}")).id();
            let (kind, name) = id.split_once(':').unwrap();
            assert!(file.contains(kind), "{file} holds {id}");
            assert!(
                name.contains(file.rsplit('-').next().unwrap().trim_end_matches(".toml"))
                    || kind == "contract",
                "{file} holds {id}"
            );
        }
    }
}
