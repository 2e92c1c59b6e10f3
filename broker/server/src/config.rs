//! The configuration: one TOML file with environment overrides, unknown keys refused, every default stated here.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use daypass_credential::Ttl;
use daypass_issuer::TrustDomain;
use rustls_pki_types::ServerName;
use serde::Deserialize;

/// What begins the names of environment variables that override the file, as in `DAYPASSD_LISTEN` or
/// `DAYPASSD_LOG__LEVEL` (two underscores go one table deeper).
const PREFIX: &str = "DAYPASSD_";
/// The one variable with that beginning which says where the file is, and overrides nothing in it.
const FILE: &str = "DAYPASSD_CONFIG";

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the store lies.
    pub(crate) data_dir: PathBuf,
    /// Where the one port listens.
    #[serde(default = "default_listen")]
    pub(crate) listen: SocketAddr,
    /// The SPIFFE trust domain; fixed by `init`.
    pub(crate) trust_domain: String,
    /// The `iss` of tokens; `https://<trust domain>` if not said. Fixed by `init`.
    #[serde(default)]
    pub(crate) issuer: Option<String>,
    /// The host names and addresses that the broker is reached by.
    #[serde(default = "default_names")]
    pub(crate) names: Vec<String>,
    /// The file with the key that all keys are sealed with: 32 bytes, in base64 or hexadecimal. `init` makes it.
    pub(crate) key_file: PathBuf,
    /// The file with the newest signed checkpoint, best on another disk than the store; `anchor` beside that if not said.
    #[serde(default)]
    pub(crate) anchor_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) lifetimes: Lifetimes,
    #[serde(default)]
    pub(crate) limits: Limits,
    #[serde(default)]
    pub(crate) notary: Notary,
    #[serde(default)]
    pub(crate) log: Log,
}

/// The broker's own limits on lifetimes; scopes, applications and contracts shorten them further.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Lifetimes {
    /// Identity certificates.
    #[serde(deserialize_with = "duration")]
    pub(crate) identity: Ttl,
    /// Client certificates.
    #[serde(deserialize_with = "duration")]
    pub(crate) certificate: Ttl,
    /// Access tokens.
    #[serde(deserialize_with = "duration")]
    pub(crate) token: Ttl,
    /// The broker's own server certificate.
    #[serde(deserialize_with = "duration")]
    pub(crate) server: Ttl,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            identity: Ttl::days(1),
            certificate: Ttl::days(1),
            token: Ttl::minutes(60),
            server: Ttl::days(7),
        }
    }
}

/// How much at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Connections of applications; strangers, persons and verifiers have an eighth as many each.
    pub(crate) connections: usize,
    /// Calls under way on one connection.
    pub(crate) calls_per_connection: u32,
    /// How long a shutdown waits for calls under way.
    #[serde(deserialize_with = "duration")]
    pub(crate) drain: Ttl,
    /// How much memory the store's cache may take, in MiB.
    pub(crate) store_cache_mib: u64,
    /// With less free space than this on the store's disk, in MiB, nothing but ends is recorded; 0 for no limit.
    pub(crate) disk_low_water_mib: u64,
    /// How much space is held back there for ends, in MiB; 0 for none.
    pub(crate) disk_reserve_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            calls_per_connection: 256,
            drain: Ttl::seconds(30),
            store_cache_mib: 64,
            disk_low_water_mib: 256,
            disk_reserve_mib: 32,
        }
    }
}

/// How the log is signed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Notary {
    /// How often there is a new checkpoint, where there is something new: 1 s to 60 s.
    #[serde(deserialize_with = "duration")]
    pub(crate) interval: Ttl,
}

impl Default for Notary {
    fn default() -> Self {
        Self { interval: Ttl::seconds(1) }
    }
}

/// What is logged, to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// A filter, as `info` or `daypass_broker=debug,warn`.
    pub(crate) level: String,
    /// For people or for machines.
    pub(crate) format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Why a configuration does not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration does not do: {0}")]
    Parse(String),
    #[error("`{field}` in the configuration: {why}")]
    Field { field: &'static str, why: String },
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7443))
}

fn default_names() -> Vec<String> {
    vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Ttl, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Config {
    /// Reads the file, and what the environment overrides.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let vars =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self::parse(&text, vars)
    }

    /// The same from a text and variables.
    fn parse(text: &str, vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        // Parsed as it is first, so that an error speaks of the line it is in.
        let plain: Result<Self, _> = toml::from_str(text);
        let overrides: BTreeMap<String, String> = vars
            .into_iter()
            .filter(|(k, _)| k != FILE)
            .filter_map(|(k, v)| Some((k.strip_prefix(PREFIX)?.to_lowercase(), v)))
            .collect();
        let config = if overrides.is_empty() {
            plain.map_err(|error| ConfigError::Parse(error.to_string()))?
        } else {
            let mut table: toml::Table =
                toml::from_str(text).map_err(|error| ConfigError::Parse(error.to_string()))?;
            for (key, value) in overrides {
                overlay(&mut table, &key, &value)?;
            }
            table.try_into().map_err(|error: toml::de::Error| ConfigError::Parse(error.to_string()))?
        };
        config.checked()
    }

    fn checked(self) -> Result<Self, ConfigError> {
        self.trust_domain()?;
        self.server_names()?;
        let issuer = self.issuer();
        if !issuer.starts_with("https://") || issuer.chars().any(|c| c.is_control() || c.is_whitespace()) {
            let why = format!("`{issuer}` is no https:// address");
            return Err(ConfigError::Field { field: "issuer", why });
        }
        if issuer.contains('+') {
            let why = format!("`{issuer}` has a `+` in it, which the name of the log's key cannot have");
            return Err(ConfigError::Field { field: "issuer", why });
        }
        let interval = self.notary.interval.as_millis();
        if !(1000..=60_000).contains(&interval) {
            return Err(ConfigError::Field { field: "notary.interval", why: "1s to 60s".to_owned() });
        }
        if self.limits.connections == 0 || self.limits.calls_per_connection == 0 {
            return Err(ConfigError::Field { field: "limits", why: "at least one of each".to_owned() });
        }
        Ok(self)
    }

    /// The trust domain.
    pub(crate) fn trust_domain(&self) -> Result<TrustDomain, ConfigError> {
        let field = "trust_domain";
        self.trust_domain.parse().map_err(|error| ConfigError::Field { field, why: format!("{error}") })
    }

    /// The `iss` of tokens.
    pub(crate) fn issuer(&self) -> String {
        self.issuer.clone().unwrap_or_else(|| format!("https://{}", self.trust_domain))
    }

    /// The file with the newest signed checkpoint.
    pub(crate) fn anchor_file(&self) -> PathBuf {
        self.anchor_file.clone().unwrap_or_else(|| self.data_dir.join("anchor"))
    }

    /// The names of the server certificate.
    pub(crate) fn server_names(&self) -> Result<Vec<ServerName<'static>>, ConfigError> {
        let field = "names";
        if self.names.is_empty() {
            return Err(ConfigError::Field { field, why: "name at least one host".to_owned() });
        }
        let parse = |name: &String| {
            let wrong = |_| ConfigError::Field { field, why: format!("`{name}` is no host name or address") };
            ServerName::try_from(name.clone()).map_err(wrong)
        };
        self.names.iter().map(parse).collect()
    }
}

/// Sets one value, as a number or truth value where it is one and as text otherwise.
fn overlay(table: &mut toml::Table, key: &str, value: &str) -> Result<(), ConfigError> {
    let wrong = || ConfigError::Parse(format!("{PREFIX}{}: there is no such key", key.to_uppercase()));
    match key.split_once("__") {
        None => {
            table.insert(key.to_owned(), lenient(key, value));
            Ok(())
        }
        Some((outer, inner)) => {
            let entry = table.entry(outer).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            overlay(entry.as_table_mut().ok_or_else(wrong)?, inner, value)
        }
    }
}

/// Reads a value of the environment: numbers are numbers, and the list of names is written with commas.
fn lenient(key: &str, text: &str) -> toml::Value {
    if key == "names" {
        return text
            .split(',')
            .map(|part| toml::Value::String(part.trim().to_owned()))
            .collect::<Vec<_>>()
            .into();
    }
    text.parse::<i64>().map_or_else(|_| toml::Value::String(text.to_owned()), toml::Value::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "data_dir = \"/d\"\ntrust_domain = \"t.example\"\nkey_file = \"/k\"\n";

    fn parse(text: &str, vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::parse(text, vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn the_least_that_is_needed_is_enough() {
        let config = parse(LEAST, &[]).unwrap();
        assert_eq!(config.issuer(), "https://t.example");
        assert_eq!(config.lifetimes.token, Ttl::minutes(60));
        assert_eq!(config.notary.interval, Ttl::seconds(1));
        assert_eq!(config.anchor_file(), Path::new("/d/anchor"));
        let elsewhere =
            parse(&format!("anchor_file = \"/e/a\"\n{LEAST}[notary]\ninterval = \"60s\"\n"), &[]).unwrap();
        assert_eq!(elsewhere.anchor_file(), Path::new("/e/a"));
        assert_eq!(elsewhere.notary.interval, Ttl::minutes(1));
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let vars = [("DAYPASSD_LISTEN", "127.0.0.1:9"), ("DAYPASSD_LOG__LEVEL", "debug"), ("HOME", "/x")];
        let config = parse(LEAST, &vars).unwrap();
        assert_eq!(config.listen.port(), 9);
        assert_eq!(config.log.level, "debug");
        let config = parse(LEAST, &[("DAYPASSD_NAMES", "a.example, b.example")]).unwrap();
        assert_eq!(config.names, ["a.example", "b.example"]);
        assert_eq!(parse(LEAST, &[("DAYPASSD_NAMES", "localhost")]).unwrap().names, ["localhost"]);
        let config = parse(LEAST, &[("DAYPASSD_LIMITS__CONNECTIONS", "7")]).unwrap();
        assert_eq!(config.limits.connections, 7);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = parse(&format!("{LEAST}listne = \"127.0.0.1:1\"\n"), &[]).unwrap_err().to_string();
        assert!(error.contains("line 4") && error.contains("listne"), "{error}");
        assert!(parse(LEAST, &[("DAYPASSD_LISTNE", "x")]).is_err());
        assert!(parse(&format!("{LEAST}[log]\nlevle = \"info\"\n"), &[]).is_err());
    }

    #[test]
    fn values_that_do_not_do_are_refused() {
        for line in [
            "names = []",
            "names = [\"a b\"]",
            "issuer = \"http://t.example\"",
            "lifetimes.token = \"0s\"",
            "lifetimes.token = \"1 hour\"",
            "issuer = \"https://t.example/a+b\"",
            "notary.interval = \"61s\"",
            "notary.interval = \"0s\"",
            "limits.connections = 0",
            "listen = \"localhost\"",
        ] {
            assert!(parse(&format!("{LEAST}{line}\n"), &[]).is_err(), "{line}");
        }
        assert!(parse(&LEAST.replace("t.example", "T example"), &[]).is_err());
    }
}
