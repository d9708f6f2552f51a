//! Where the lab's clients are.

use std::{fs, path::Path, time::SystemTime};

use anyhow::{Context, Result};

use crate::mmdb::{self, Place, Schema};

const PLACES: [(&str, &str); 8] = [
    ("198.51.100.0/24", "DE"),
    ("2001:db8:de::/48", "DE"),
    ("203.0.113.0/24", "FR"),
    ("2001:db8:f0::/48", "FR"),
    ("198.18.0.0/24", "FR"),
    ("2001:db8:18::/48", "FR"),
    // Private addresses are in no country; that these are must not matter.
    ("10.77.0.0/24", "FR"),
    ("fd77::/64", "FR"),
];

/// Writes a database of today, in which each client of the lab is in its country.
pub fn write(path: &Path) -> Result<()> {
    let today = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let mut places = Vec::new();
    for (prefix, country) in PLACES {
        places.push((prefix.parse()?, Place::country(country)));
    }
    let bytes = mmdb::build(Schema::Country, &places, today);
    fs::write(path, bytes).with_context(|| path.display().to_string())
}
