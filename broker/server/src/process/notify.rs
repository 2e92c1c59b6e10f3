//! Telling the service manager how far the process is, as systemd's `Type=notify` expects. Elsewhere nobody asks, and
//! nothing is said.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    path::Path,
};

/// The variable that says where the service manager listens.
const SOCKET: &str = "NOTIFY_SOCKET";

/// How far the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It answers.
    Ready,
    /// It finishes what is under way, and then ends.
    Stopping,
}

impl State {
    const fn message(self) -> &'static str {
        match self {
            Self::Ready => "READY=1\nSTATUS=serving",
            Self::Stopping => "STOPPING=1\nSTATUS=finishing what is under way",
        }
    }
}

/// Tells the service manager, if there is one. That it does not listen is worth a line in the log and no more: the
/// broker serves all the same, and who waits for the message decides how long.
pub(super) fn notify(state: State) {
    if let Some(socket) = std::env::var_os(SOCKET)
        && let Err(error) = send(&socket, state)
    {
        tracing::warn!(%error, ?state, "the service manager cannot be told");
    }
}

fn send(socket: &OsStr, state: State) -> io::Result<()> {
    let message = state.message().as_bytes();
    let sent = UnixDatagram::unbound()?.send_to_addr(message, &address(socket)?)?;
    if sent == message.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// A path, or a name in the abstract namespace if it begins with `@`.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        _ if Path::new(socket).is_absolute() => SocketAddr::from_pathname(socket),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{SOCKET}` is neither a path nor an abstract name"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn heard(listening: &UnixDatagram) -> String {
        listening.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut buffer = [0; 256];
        let length = listening.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_service_manager_hears_at_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listening = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), State::Ready).unwrap();
        assert!(heard(&listening).starts_with("READY=1\n"));
        send(path.as_os_str(), State::Stopping).unwrap();
        assert!(heard(&listening).starts_with("STOPPING=1\n"));
    }

    #[test]
    fn a_service_manager_hears_at_an_abstract_name() {
        let name = format!("daypassd-notify-test-{}", std::process::id());
        let listening = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send(OsStr::new(&format!("@{name}")), State::Ready).unwrap();
        assert!(heard(&listening).starts_with("READY=1\n"));
    }

    #[test]
    fn what_is_no_address_and_where_nobody_listens_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        for socket in ["", "notify", "vsock:2:1"] {
            let error = send(OsStr::new(socket), State::Ready).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{socket}");
        }
        assert!(send(dir.path().join("nobody").as_os_str(), State::Ready).is_err());
    }
}
