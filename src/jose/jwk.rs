//! Public keys as JWKs (RFC 7517, RFC 7518 §6, RFC 8037 §2). The `kid` is the RFC 7638 thumbprint.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::platform::{Alg, Fault};

/// What stands before an Ed25519 public key in its SubjectPublicKeyInfo (RFC 8410 §4).
pub(super) const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public signature key of ours, without any private or symmetric member by construction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicJwk {
    #[serde(flatten)]
    pub material: Material,
    pub kid: String,
    pub alg: Alg,
    #[serde(rename = "use")]
    pub usage: String,
}

/// RFC 7518 §6.2 and §6.3, RFC 8037 §2; values in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub enum Material {
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
    #[serde(rename = "EC")]
    Ec { crv: String, x: String, y: String },
    #[serde(rename = "OKP")]
    Okp { crv: String, x: String },
}

impl PublicJwk {
    /// From SubjectPublicKeyInfo DER.
    pub fn from_spki(alg: Alg, spki: &[u8]) -> Result<Self, Fault> {
        let bad = |what: &str| Fault::Crypto(format!("the host's {what} public key does not decode"));
        let material = match alg {
            Alg::RS256 | Alg::PS256 => {
                let key = rsa::RsaPublicKey::from_public_key_der(spki).map_err(|_| bad("RSA"))?;
                Material::Rsa { n: encode(&key.n().to_bytes_be()), e: encode(&key.e().to_bytes_be()) }
            }
            Alg::ES256 => {
                let point =
                    p256::PublicKey::from_public_key_der(spki).map_err(|_| bad("P-256"))?.to_encoded_point(false);
                let (Some(x), Some(y)) = (point.x(), point.y()) else { return Err(bad("P-256")) };
                Material::Ec { crv: "P-256".to_owned(), x: encode(x), y: encode(y) }
            }
            Alg::EdDSA => {
                let x = spki.strip_prefix(&ED25519_SPKI).filter(|x| x.len() == 32).ok_or_else(|| bad("Ed25519"))?;
                Material::Okp { crv: "Ed25519".to_owned(), x: encode(x) }
            }
        };
        Ok(Self { kid: thumbprint(&material), material, alg, usage: "sig".to_owned() })
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Material {
    /// The required members alone (RFC 7638 §3.2), which any implementation imports.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// RFC 7638 §3: SHA-256 over the required members in lexicographic order.
fn thumbprint(material: &Material) -> String {
    let canonical = match material {
        Material::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        Material::Ec { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
        Material::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
    };
    encode(&Sha256::digest(canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_of_rfc_7638_section_3_1() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj\
             hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbIS\
             D08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let material = Material::Rsa { n: n.to_owned(), e: "AQAB".to_owned() };
        assert_eq!(thumbprint(&material), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_thumbprint_of_rfc_8037_a_3() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned();
        let material = Material::Okp { crv: "Ed25519".to_owned(), x };
        assert_eq!(thumbprint(&material), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
