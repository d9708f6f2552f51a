//! Values that have a name, between processes.

use proxy_common::reason::Reason;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{
    config::Mode,
    record::{CloseReason, Protocol, TlsVersion},
};

/// Goes by the name that records show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<T>(pub(super) T);

pub(super) trait Name: Copy + 'static {
    fn name(self) -> &'static str;
    fn all() -> Vec<Self>;
}

impl Name for Reason {
    fn name(self) -> &'static str {
        self.as_str()
    }

    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }
}

impl Name for CloseReason {
    fn name(self) -> &'static str {
        self.as_str()
    }

    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }
}

impl Name for TlsVersion {
    fn name(self) -> &'static str {
        self.as_str()
    }

    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }
}

impl Name for Protocol {
    fn name(self) -> &'static str {
        self.as_str()
    }

    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }
}

impl Name for Mode {
    fn name(self) -> &'static str {
        self.protocol().as_str()
    }

    fn all() -> Vec<Self> {
        vec![Self::Tcp, Self::Udp, Self::Tls, Self::Http]
    }
}

impl<T: Name> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de, T: Name> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = T::all().into_iter().find(|known| known.name() == name);
        known.map(Self).ok_or_else(|| D::Error::custom(format!("{name:?} is not known")))
    }
}
