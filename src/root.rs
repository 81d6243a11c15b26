//! The deployment's root secret, and how it changes: `ROOT_SECRET` may hold two secrets, of which the first seals and both open.
//!
//! A new one comes in three steps, because a changed secret reaches isolates at different times: `old` becomes `old,new`
//! (accept), `new,old` (seal with it; an operator has the masters wrapped anew), and `new` (drop). Each step is one change of one
//! secret. Only tenants' masters, copies in KV and links of operators are sealed under a root; what users and clients hold is
//! sealed under masters, which stay.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::platform::{Fault, SecretName};
use crate::seal::{KeyMaterial, Sealed, Sealer};

/// How many secrets `ROOT_SECRET` may hold.
const MOST: usize = 2;

/// One root secret. Its id says nothing about it.
#[derive(Clone, Debug)]
pub struct Root {
    pub id: String,
    pub material: KeyMaterial,
}

impl Root {
    #[must_use]
    pub fn new(material: KeyMaterial) -> Self {
        let digest = material.derive("vedette root id v1");
        Self { id: URL_SAFE_NO_PAD.encode(digest.get(..9).unwrap_or_default()), material }
    }
}

/// The root secrets that this isolate was given: one seals, all of them open.
#[derive(Clone, Debug)]
pub struct Roots {
    sealing: Root,
    also_accepted: Vec<Root>,
}

impl Roots {
    /// From the text of the secret: base64url of 32 bytes, or two of these with a comma between them.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let roots: Option<Vec<Root>> =
            text.split(',').map(|one| KeyMaterial::from_text(one.trim()).map(Root::new)).collect();
        let mut roots = roots.filter(|roots| roots.len() <= MOST).unwrap_or_default().into_iter();
        let sealing = roots.next().ok_or(Fault::SecretMalformed(SecretName::Root))?;
        Ok(Self { sealing, also_accepted: roots.collect() })
    }

    #[must_use]
    pub fn sealing(&self) -> &Root {
        &self.sealing
    }

    pub fn all(&self) -> impl Iterator<Item = &Root> {
        std::iter::once(&self.sealing).chain(&self.also_accepted)
    }

    /// Seals a value for `owner` under the sealing root.
    #[must_use]
    pub fn seal<T: Sealed>(&self, owner: &str, value: &T, nonce: [u8; 24]) -> String {
        Sealer::new(&self.sealing.material, owner).seal(value, nonce)
    }

    /// Opens what any of these roots sealed for `owner`.
    #[must_use]
    pub fn open<T: Sealed>(&self, owner: &str, text: &str) -> Option<T> {
        self.all().find_map(|root| Sealer::new(&root.material, owner).open(text))
    }

    #[must_use]
    pub fn seal_bytes(&self, owner: &str, purpose: &str, plain: &[u8], nonce: [u8; 24]) -> String {
        Sealer::new(&self.sealing.material, owner).seal_bytes(purpose, plain, nonce)
    }

    #[must_use]
    pub fn open_bytes(&self, owner: &str, purpose: &str, text: &str) -> Option<Vec<u8>> {
        self.all().find_map(|root| Sealer::new(&root.material, owner).open_bytes(purpose, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> String {
        URL_SAFE_NO_PAD.encode([byte; 32])
    }

    fn roots(text: &str) -> Roots {
        Roots::parse(text).unwrap()
    }

    #[test]
    fn a_new_root_opens_before_it_seals_and_the_old_one_until_it_is_dropped() {
        let old = roots(&secret(1)).seal_bytes("t", "p", b"x", [0; 24]);
        let accepting = roots(&format!("{},{}", secret(1), secret(2)));
        let sealing = roots(&format!("{}, {}", secret(2), secret(1)));
        let dropped = roots(&secret(2));
        assert_eq!(accepting.sealing().id, roots(&secret(1)).sealing().id);
        let new = sealing.seal_bytes("t", "p", b"x", [0; 24]);
        let opens = |roots: &Roots, text: &str| roots.open_bytes("t", "p", text).is_some();
        assert_eq!((opens(&accepting, &old), opens(&accepting, &new)), (true, true));
        assert_eq!((opens(&sealing, &old), opens(&sealing, &new)), (true, true));
        assert_eq!((opens(&dropped, &old), opens(&dropped, &new)), (false, true));
    }

    #[test]
    fn anything_but_one_or_two_secrets_is_malformed() {
        let three = [secret(1), secret(2), secret(3)].join(",");
        for bad in ["", ",", "x", &format!("{},", secret(1)), &format!("{},x", secret(1)), &three] {
            assert_eq!(Roots::parse(bad).unwrap_err(), Fault::SecretMalformed(SecretName::Root), "{bad}");
        }
    }

    #[test]
    fn ids_differ_and_do_not_show_the_secret() {
        assert_ne!(roots(&secret(1)).sealing().id, roots(&secret(2)).sealing().id);
        assert!(!format!("{:?}", roots(&secret(1))).contains(&secret(1)));
    }
}
