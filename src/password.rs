//! Passwords: Argon2id (RFC 9106) at OWASP's parameters (19 MiB, 2 passes, 1 lane), peppered with a key derived from the
//! tenant's master. Checking an unknown user costs the same as checking a known one.

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::plant;
use crate::platform::{Fault, Platform};
use crate::seal::KeyMaterial;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Shortest password, in characters (NIST SP 800-63B §5.1.1.2).
pub const SHORTEST: usize = 8;
/// Longest password, in bytes.
pub const LONGEST: usize = 1024;

/// Whether a password may be a new one; for those who have something expensive to do before they hash it.
pub fn check(password: &str) -> Result<(), Refusal> {
    if password.chars().count() < SHORTEST {
        return Err(Refusal::MalformedParameter { name: "password", why: "has to have at least 8 characters" });
    }
    if password.len() > LONGEST {
        return Err(Refusal::MalformedParameter { name: "password", why: "is longer than 1024 bytes" });
    }
    Ok(())
}

/// Hashes a new password into a PHC string.
pub fn hash<P: Platform>(context: &Context<'_, P>, pepper: &KeyMaterial, password: &str) -> Result<String, Error> {
    check(password)?;
    let salt = SaltString::encode_b64(&context.random::<16>()).map_err(crypto)?;
    Ok(argon2(pepper)?.hash_password(password.as_bytes(), &salt).map_err(crypto)?.to_string())
}

/// Whether `password` is the one that was hashed. Without a hash (an unknown user) the same work is done and the answer is no.
pub fn verify(pepper: &KeyMaterial, password: &str, hash: Option<&str>) -> Result<bool, Fault> {
    let argon2 = argon2(pepper)?;
    // More than LONGEST was never accepted; what is cut off here cannot match.
    let password = password.as_bytes().get(..=LONGEST).unwrap_or(password.as_bytes());
    match hash.and_then(|hash| PasswordHash::new(hash).ok()) {
        Some(hash) => Ok(argon2.verify_password(password, &hash).is_ok()),
        None => {
            let mut out = [0; 32];
            argon2.hash_password_into(password, &[0; 16], &mut out).map_err(crypto)?;
            Ok(false)
        }
    }
}

fn argon2(pepper: &KeyMaterial) -> Result<Argon2<'_>, Fault> {
    let memory_kib = if plant::passwords_are_cheap() { Params::MIN_M_COST } else { MEMORY_KIB };
    let parameters = Params::new(memory_kib, PASSES, LANES, None).map_err(crypto)?;
    Argon2::new_with_secret(pepper.as_bytes(), Algorithm::Argon2id, Version::V0x13, parameters).map_err(crypto)
}

fn crypto(error: impl std::fmt::Display) -> Fault {
    Fault::Crypto(format!("argon2: {error}"))
}
