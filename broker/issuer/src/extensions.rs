//! The extensions that a certificate of ours may have, as its bytes have them.

use daypass_credential::stamp::LINEAGE_OID;
use x509_parser::{
    certificate::TbsCertificate,
    der_parser::asn1_rs::{FromDer as _, Utf8String},
    extensions::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, GeneralName, KeyIdentifier, KeyUsage,
        ParsedExtension, SubjectAlternativeName, X509Extension,
    },
};

use crate::check::{AltName, Mismatch, Role};

/// The extensions that ours may have, each at most once, each as critical as it has to be.
#[derive(Default)]
pub(crate) struct Extensions<'a> {
    names: Option<&'a SubjectAlternativeName<'a>>,
    pub(crate) usage: Option<&'a KeyUsage>,
    extended: Option<&'a ExtendedKeyUsage<'a>>,
    pub(crate) constraints: Option<&'a BasicConstraints>,
    pub(crate) key_id: Option<&'a KeyIdentifier<'a>>,
    issuer: Option<&'a AuthorityKeyIdentifier<'a>>,
    stamp: Option<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    pub(crate) fn of(tbs: &'a TbsCertificate<'a>) -> Result<Self, Mismatch> {
        let mut seen = Self::default();
        for extension in tbs.extensions() {
            seen.take(extension)?;
        }
        Ok(seen)
    }

    fn take(&mut self, extension: &'a X509Extension<'a>) -> Result<(), Mismatch> {
        let mut must_be_critical = false;
        let first = match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => self.names.replace(names).is_none(),
            ParsedExtension::ExtendedKeyUsage(usage) => self.extended.replace(usage).is_none(),
            ParsedExtension::SubjectKeyIdentifier(id) => self.key_id.replace(id).is_none(),
            ParsedExtension::AuthorityKeyIdentifier(id) => self.issuer.replace(id).is_none(),
            ParsedExtension::KeyUsage(usage) => {
                must_be_critical = true;
                self.usage.replace(usage).is_none()
            }
            ParsedExtension::BasicConstraints(constraints) => {
                must_be_critical = true;
                self.constraints.replace(constraints).is_none()
            }
            ParsedExtension::UnsupportedExtension { oid }
                if oid.iter().is_some_and(|arcs| arcs.eq(LINEAGE_OID.iter().copied())) =>
            {
                self.stamp.replace(extension.value).is_none()
            }
            _ => false,
        };
        if first && extension.critical == must_be_critical { Ok(()) } else { Err(Mismatch::Extension) }
    }

    pub(crate) fn alt_names(&self) -> Result<Vec<AltName>, Mismatch> {
        let names = self.names.map(|names| names.general_names.as_slice()).unwrap_or_default();
        names.iter().map(alt_name).collect::<Option<_>>().ok_or(Mismatch::Names)
    }

    /// The one purpose that it is for, if it names any.
    pub(crate) fn purpose(&self) -> Result<Option<Role>, Mismatch> {
        let Some(usage) = self.extended else {
            return Ok(None);
        };
        let only = |client_auth, server_auth| ExtendedKeyUsage {
            any: false,
            server_auth,
            client_auth,
            code_signing: false,
            email_protection: false,
            time_stamping: false,
            ocsp_signing: false,
            other: Vec::new(),
        };
        match usage {
            usage if *usage == only(true, false) => Ok(Some(Role::Client)),
            usage if *usage == only(false, true) => Ok(Some(Role::Server)),
            _ => Err(Mismatch::Usage),
        }
    }

    /// The id of the key that signed it, and nothing else about the issuer.
    pub(crate) fn issuer_key_id(&self) -> Result<Option<&'a [u8]>, Mismatch> {
        match self.issuer {
            None => Ok(None),
            Some(AuthorityKeyIdentifier {
                key_identifier: Some(id),
                authority_cert_issuer: None,
                authority_cert_serial: None,
            }) => Ok(Some(id.0)),
            Some(_) => Err(Mismatch::KeyIds),
        }
    }

    /// The text of the private extension.
    pub(crate) fn stamp(&self) -> Result<Option<String>, Mismatch> {
        let Some(der) = self.stamp else {
            return Ok(None);
        };
        let (rest, text) = Utf8String::from_der(der).map_err(|_| Mismatch::Stamp)?;
        if !rest.is_empty() {
            return Err(Mismatch::Stamp);
        }
        Ok(Some(text.as_ref().to_owned()))
    }
}

fn alt_name(name: &GeneralName<'_>) -> Option<AltName> {
    match name {
        GeneralName::URI(uri) => Some(AltName::Uri((*uri).to_owned())),
        GeneralName::DNSName(name) => Some(AltName::Dns((*name).to_owned())),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|ip| AltName::Ip(ip.into())),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|ip| AltName::Ip(ip.into())),
        },
        _ => None,
    }
}
