//! Hashes of secrets, as `weir hash` prints them. No message repeats what was written: it
//! may be the secret itself.

use argon2::{ARGON2ID_IDENT, Params, PasswordHash, Version};

use crate::config::SecretHash;

/// For one computation, KiB.
const MOST_MEMORY: u32 = 1 << 20;

/// Of what people choose.
pub(super) fn password(text: &str) -> Result<SecretHash, String> {
    if text.starts_with("sha256:") {
        let cure = "use \"weir hash\"";
        return Err(format!("a sha256 of what people choose is soon guessed: {cure}"));
    }
    argon2id(text)
}

/// Of a key, by either.
pub(super) fn key(text: &str) -> Result<SecretHash, String> {
    let Some(digits) = text.strip_prefix("sha256:") else { return argon2id(text) };
    let hash = sha256(digits).ok_or("sha256: is followed by 64 hexadecimal digits")?;
    Ok(SecretHash::Sha256(hash))
}

fn sha256(digits: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        digits.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

/// In the PHC string format, whole, and with parameters that can be computed.
fn argon2id(text: &str) -> Result<SecretHash, String> {
    let bad = || "not an argon2id hash as \"weir hash\" prints it".to_owned();
    let hash = PasswordHash::new(text).map_err(|_| bad())?;
    let whole = hash.algorithm == ARGON2ID_IDENT && hash.salt.is_some() && hash.hash.is_some();
    let version = hash.version.is_none_or(|version| Version::try_from(version).is_ok());
    if !whole || !version {
        return Err(bad());
    }
    let params = Params::try_from(&hash).map_err(|error| format!("{}: {error}", bad()))?;
    if params.m_cost() > MOST_MEMORY {
        return Err("every try would take more than 1 GiB of memory".to_owned());
    }
    Ok(SecretHash::Argon2id(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use argon2::{Argon2, PasswordHasher};

    use super::*;

    #[test]
    fn what_weir_hash_prints_is_taken() {
        let hash = Argon2::default().hash_password(b"secret").expect("a hash").to_string();
        assert_eq!(password(&hash), Ok(SecretHash::Argon2id(hash.clone())));
        assert_eq!(key(&hash), Ok(SecretHash::Argon2id(hash)));
        let digits = "00ff".repeat(16);
        let bytes: [u8; 32] = std::array::from_fn(|at| if at % 2 == 0 { 0 } else { 0xff });
        assert_eq!(key(&format!("sha256:{digits}")), Ok(SecretHash::Sha256(bytes)));
        assert!(password(&format!("sha256:{digits}")).is_err());
    }

    #[test]
    fn half_a_hash_is_none() {
        let hash = Argon2::default().hash_password(b"secret").expect("a hash").to_string();
        let without = hash.rsplit_once('$').expect("parts").0;
        for bad in [
            "",
            "secret",
            "$argon2id$",
            "$argon2id$...",
            without,
            &hash.replace("argon2id", "argon2i"),
            &hash.replace("v=19", "v=18"),
            &hash.replace("m=19456", "m=1"),
            &hash.replace("m=19456", "m=1048577"),
            "sha256:",
            &format!("sha256:{}", "0".repeat(63)),
            &format!("sha256:{}", "0".repeat(65)),
            &format!("sha256:{}", "g".repeat(64)),
        ] {
            assert!(key(bad).is_err(), "{bad:?}");
        }
    }
}
