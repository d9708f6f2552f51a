//! Country codes and sets of them.

use core::num::NonZeroU16;

/// An ISO 3166-1 alpha-2 code (and XK) as a number below [`Country::COUNT`].
///
/// Held as number + 1, so that `Option<Country>` is one whole word: LLVM may store
/// an absent payload from any register, which the kernel's verifier refuses.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country(NonZeroU16);

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
        Self::from_number((first - b'A') as u16 * 26 + (second - b'A') as u16)
    }

    /// The number, the index into a set.
    #[inline(always)]
    pub const fn number(self) -> u16 {
        self.0.get() - 1
    }

    /// The country of that number.
    #[inline(always)]
    pub const fn from_number(number: u16) -> Option<Self> {
        if number >= Self::COUNT {
            return None;
        }
        match NonZeroU16::new(number + 1) {
            Some(held) => Some(Self(held)),
            None => None,
        }
    }

    /// The country in a map value, [`Country::to_stored`] of another; 0 is none.
    #[inline(always)]
    pub const fn from_stored(stored: u16) -> Option<Self> {
        match NonZeroU16::new(stored) {
            Some(held) => Some(Self(held)),
            None => None,
        }
    }

    /// The form that map values hold.
    #[inline(always)]
    pub const fn to_stored(self) -> u16 {
        self.0.get()
    }

    /// The two upper-case letters.
    #[expect(clippy::cast_possible_truncation, reason = "both are below 26")]
    pub const fn code(self) -> [u8; 2] {
        [b'A' + (self.number() / 26) as u8, b'A' + (self.number() % 26) as u8]
    }
}

impl core::fmt::Display for Country {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.code().iter().try_for_each(|letter| write!(f, "{}", *letter as char))
    }
}

/// A set of countries, one bit each.
///
/// It has a power of two of words, so that an index is bounded by a mask, which
/// survives every optimisation; a comparison does not, and the kernel's verifier
/// then refuses the access.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountrySet {
    words: [u64; WORDS],
}

impl CountrySet {
    /// The empty set.
    pub const EMPTY: Self = Self { words: [0; WORDS] };

    /// Adds one country.
    pub fn insert(&mut self, country: Country) {
        self.words[word_of(country)] |= 1 << (country.number() & 63);
    }

    /// Adds every country of `other`.
    pub fn extend(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Whether `country` is in the set.
    #[inline(always)]
    pub fn contains(&self, country: Country) -> bool {
        self.words[word_of(country)] >> (country.number() & 63) & 1 == 1
    }

    /// The countries of the set, by code.
    pub fn iter(&self) -> impl Iterator<Item = Country> + '_ {
        (0..Country::COUNT).filter_map(Country::from_number).filter(|c| self.contains(*c))
    }

    /// Whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.words == [0; WORDS]
    }
}

const WORDS: usize = 16;

#[inline(always)]
const fn word_of(country: Country) -> usize {
    (country.number() >> 6) as usize & (WORDS - 1)
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
            set.insert(Country::from_number(number).expect("below COUNT"));
        }
        for number in 0..Country::COUNT {
            let expected = [0, 63, 64, Country::COUNT - 1].contains(&number);
            assert_eq!(set.contains(Country::from_number(number).expect("below COUNT")), expected);
        }
    }
}
