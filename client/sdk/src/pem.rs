//! PEM (RFC 7468): reading is the library's, writing is the few lines here.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use zeroize::Zeroizing;

use crate::Error;

/// Certificates one after another, as TLS libraries want them in a file.
#[must_use]
pub fn certificates_to_pem(chain: &[CertificateDer<'_>]) -> String {
    chain.iter().map(|certificate| encode("CERTIFICATE", certificate).to_string()).collect()
}

/// Every certificate in a PEM text, in order; other sections are skipped.
///
/// # Errors
/// [`Error::BadInput`] if the text is no PEM, or without a certificate.
pub fn certificates_from_pem(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|_| Error::BadInput("the certificate is not PEM".into()))?;
    if chain.is_empty() {
        return Err(Error::BadInput("there is no `BEGIN CERTIFICATE` in it".into()));
    }
    Ok(chain)
}

/// One PEM section, in a buffer that is wiped.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for (n, digit) in body.chars().enumerate() {
        if n > 0 && n % 64 == 0 {
            text.push('\n');
        }
        text.push(digit);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for length in [1, 47, 48, 49, 96, 500] {
            let chain = vec![CertificateDer::from(vec![7; length]), CertificateDer::from(vec![8; length])];
            let text = certificates_to_pem(&chain);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            assert_eq!(certificates_from_pem(text.as_bytes()).unwrap(), chain);
        }
    }

    #[test]
    fn a_text_without_a_certificate_is_refused() {
        for bad in ["", "hello", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"] {
            assert!(certificates_from_pem(bad.as_bytes()).is_err(), "`{bad}`");
        }
    }
}
