//! Randomness, and how it is written.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};

/// The host gives no randomness: nothing that must not be guessed can be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the host gives no randomness")]
pub(in crate::http) struct NoRandomness;

pub(in crate::http) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// In letters that cookies and URLs take (RFC 4648, 5).
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Back again, where it is exactly so many bytes.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Four letters for three bytes: what is longer is not even looked at.
    (text.len() == (N * 4).div_ceil(3)).then_some(())?;
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
