//! Browsers that signed in before.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    cookies::Cookie,
    keys::{Purpose, Signer},
    now::later,
    random::{NoRandomness, random},
    visitor::{Guarded, Visitor},
};
use crate::record::Timestamp;

/// How long a browser is known after it signed in.
pub(super) const KNOWN: Duration = Duration::from_hours(90 * 24);

/// One browser, at one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct DeviceId([u8; 16]);

impl DeviceId {
    pub(super) fn new() -> Result<Self, NoRandomness> {
        random().map(Self)
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    service: String,
    id: DeviceId,
    since: Timestamp,
}

/// What the browser keeps.
pub(super) fn sign(signer: &Signer, service: &str, id: DeviceId, since: Timestamp) -> String {
    signer.sign(Purpose::Device, &Kept { service: service.to_owned(), id, since })
}

/// Which browser that is, if it has signed in to the service.
pub(super) fn known(
    signer: &Signer,
    visitor: &Visitor<'_>,
    guarded: &Guarded<'_>,
    now: Timestamp,
) -> Option<DeviceId> {
    let mut cookies = Cookie::Device.read(visitor.headers(), visitor.secure);
    cookies.find_map(|text| {
        let kept: Kept = signer.verify(Purpose::Device, text)?;
        let good = kept.service == guarded.service && now < later(kept.since, KNOWN);
        good.then_some(kept.id)
    })
}
