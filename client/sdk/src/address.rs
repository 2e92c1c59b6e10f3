//! Where a broker is, and what its server certificate has to be called.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use rustls_pki_types::ServerName;

use crate::Error;

/// Where a broker is: `host:port`, and the name that its server certificate has to carry (the host, if not said).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    server_name: ServerName<'static>,
}

impl Address {
    /// The same place, whose server certificate carries another name.
    ///
    /// # Errors
    /// [`Error::BadInput`] if that is neither a DNS name nor an IP address.
    pub fn with_server_name(self, name: &str) -> Result<Self, Error> {
        Ok(Self { server_name: server_name(name)?, ..self })
    }

    /// The host: a DNS name or an IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What the server certificate has to be called.
    #[must_use]
    pub const fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        Error::BadInput(format!("`{}` is neither a DNS name nor an IP address", text.escape_default()))
    })
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let form = || {
            let shown: String = text.chars().take(80).flat_map(char::escape_default).collect();
            Error::BadInput(format!(
                "`{shown}` is no address: write it as `host:port`, for example `broker.example:7443`"
            ))
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(form)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().map(|ip| ip.to_string()).map_err(|_| form())?,
            None if host.contains(':') => return Err(form()),
            None => host.to_owned(),
        };
        let server_name = server_name(&host).map_err(|_| form())?;
        Ok(Self { host, port, server_name })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in ["127.0.0.1:7443", "broker.example:1", "[::1]:65535", "localhost:7443"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_server_name_is_the_host_unless_said() {
        let address: Address = "127.0.0.1:7443".parse().unwrap();
        assert_eq!(address.server_name().to_str(), "127.0.0.1");
        let named = address.with_server_name("broker.example").unwrap();
        assert_eq!(named.server_name().to_str(), "broker.example");
        assert_eq!(named.host(), "127.0.0.1");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "localhost",
            "localhost:",
            "localhost:0",
            ":1",
            "a b:1",
            "::1:7443",
            "https://x:1",
            "x:99999",
        ] {
            assert!(bad.parse::<Address>().is_err(), "`{bad}`");
        }
    }
}
