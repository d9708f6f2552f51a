//! Country codes and sets of them.

/// An ISO 3166-1 alpha-2 code (and XK) as a number below [`Country::COUNT`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country(u16);

impl Country {
    /// 26 x 26 two-letter codes.
    pub const COUNT: u16 = 26 * 26;

    /// A two-letter code in any case, or `None` where it is not two ASCII letters.
    pub const fn from_code(code: &[u8]) -> Option<Self> {
        let [first, second] = code else { return None };
        let (first, second) = (first.to_ascii_uppercase(), second.to_ascii_uppercase());
        if !first.is_ascii_uppercase() || !second.is_ascii_uppercase() {
            return None;
        }
        Some(Self((first - b'A') as u16 * 26 + (second - b'A') as u16))
    }

    /// The number, as it stands in map values.
    #[inline]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The country of that number.
    #[inline]
    pub const fn from_number(number: u16) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The two upper-case letters.
    #[expect(clippy::cast_possible_truncation, reason = "both are below 26")]
    pub const fn code(self) -> [u8; 2] {
        [b'A' + (self.0 / 26) as u8, b'A' + (self.0 % 26) as u8]
    }
}

/// A set of countries, one bit each.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountrySet {
    words: [u64; 11],
}

impl CountrySet {
    /// The empty set.
    pub const EMPTY: Self = Self { words: [0; 11] };

    /// Adds one country.
    pub fn insert(&mut self, country: Country) {
        if let Some(word) = self.words.get_mut(usize::from(country.0 >> 6)) {
            *word |= 1 << (country.0 & 63);
        }
    }

    /// Adds every country of `other`.
    pub fn extend(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Whether `country` is in the set.
    #[inline]
    pub fn contains(&self, country: Country) -> bool {
        // `get` keeps the bound visible to the kernel's verifier.
        match self.words.get(usize::from(country.0 >> 6)) {
            Some(word) => word >> (country.0 & 63) & 1 == 1,
            None => false,
        }
    }

    /// Whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.words == [0; 11]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_there_and_back() {
        assert_eq!(Country::from_code(b"de").map(Country::code), Some(*b"DE"));
        assert_eq!(Country::from_code(b"ZZ").map(Country::number), Some(Country::COUNT - 1));
        for bad in [b"D".as_slice(), b"DEU", b"D1", "ÄÄ".as_bytes()] {
            assert_eq!(Country::from_code(bad), None);
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set = CountrySet::EMPTY;
        assert!(set.is_empty());
        for number in [0, 63, 64, Country::COUNT - 1] {
            set.insert(Country(number));
        }
        for number in 0..Country::COUNT {
            let expected = [0, 63, 64, Country::COUNT - 1].contains(&number);
            assert_eq!(set.contains(Country(number)), expected);
        }
    }
}
