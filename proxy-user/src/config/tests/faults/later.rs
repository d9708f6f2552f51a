//! What later versions bring: refused by name, never left out.

use super::Faulty;

pub(super) const FAULTS: &[Faulty] = &[
    // Tables.
    ("[api]\ntls = true", &["2:1: \"tls\" in [api] is not supported yet"]),
    ("[api.tls]\ncert = \"/a\"", &["1:1: tls takes true or false, not a table"]),
];
