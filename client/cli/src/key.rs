//! Making keys: for the first admin, and for whoever wants to know the key before enrolling.

use std::path::PathBuf;

use clap::Subcommand;
use daypass_sdk::{PrivateKey, write_private, write_public};

use crate::{console::Console, failure::Failure, leftovers, shapes};

/// Make a key.
#[derive(Debug, Subcommand)]
#[command(after_long_help = EXAMPLES)]
pub(crate) enum Wish {
    /// Make a P-256 key: FILE (PKCS #8, for its owner alone) and FILE.pub (to hand out).
    ///
    /// The first admin of a broker does this before the broker is made: `daypassd init --admin dana --admin-key
    /// admin.key.pub` binds the first code to the key, and `daypass enroll --key admin.key` spends it.
    #[command(after_long_help = EXAMPLES)]
    New {
        /// Where the private key goes; nothing there is overwritten.
        file: PathBuf,
    },
}

const EXAMPLES: &str = "\
Examples:
  daypass key new admin.key
  daypass enroll --broker broker.example:7443 --key admin.key --code-file code.txt";

pub(crate) fn run(wish: &Wish, console: &Console) -> Result<(), Failure> {
    let Wish::New { file } = wish;
    let mut public = file.clone().into_os_string();
    public.push(".pub");
    let public = PathBuf::from(public);
    if let Some(taken) = [file, &public].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Failure::bad(format!("`{}` is there already, and is not overwritten", taken.display()))
            .then("choose another name; or move it away, if nobody needs that key any more"));
    }
    leftovers::sweep(&[file, &public]);
    let key = PrivateKey::generate()?;
    write_private(file, key.to_pem().as_bytes())?;
    write_public(&public, key.public_pem().as_bytes())?;
    let made = shapes::KeyPair { private: file.display().to_string(), public: public.display().to_string() };
    console.show(&made, || format!("{}\n{}", made.private, made.public))
}
