//! Maps for keys that the network chooses: hashed under a seed that is random to
//! each map, by less work than the standard library's.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// As [`HashMap`].
pub type KeyedMap<K, V> = HashMap<K, V, RandomState>;
/// As [`HashSet`].
pub type KeyedSet<K> = HashSet<K, RandomState>;
