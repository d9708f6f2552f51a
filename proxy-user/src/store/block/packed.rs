//! Numbers in as few bits as they need: groups of 128, each with its own smallest number
//! and width. A group is found and read without those before it.

use bitpacking::{BitPacker, BitPacker4x};
use bytes::Bytes;

use super::varint;

/// Numbers of a group.
pub(in crate::store) const GROUP: usize = BitPacker4x::BLOCK_LEN;
/// Width of a group whose numbers are written whole, 8 bytes each, low byte first.
const WHOLE: u8 = 64;
/// First byte: every number is the one that follows.
const CONSTANT: u8 = 0;
/// First byte: widths of all groups, their smallest numbers, their bits.
const GROUPS: u8 = 1;

/// Appends the encoding of `values`.
pub(super) fn encode(values: &[u64], out: &mut Vec<u8>) {
    let first = values.first().copied().unwrap_or(0);
    if values.iter().all(|value| *value == first) {
        out.push(CONSTANT);
        varint::write(first, out);
        return;
    }
    out.push(GROUPS);
    let groups: Vec<Group> = values.chunks(GROUP).map(Group::of).collect();
    out.extend(groups.iter().map(|group| group.width));
    for group in &groups {
        varint::write(group.least, out);
    }
    let packer = BitPacker4x::new();
    for (group, values) in groups.iter().zip(values.chunks(GROUP)) {
        group.pack(values, packer, out);
    }
}

/// Appends numbers that rise, and how many there are.
pub(super) fn encode_rising(values: &[u64], out: &mut Vec<u8>) {
    varint::write(values.len() as u64, out);
    let mut before = 0;
    for value in values {
        varint::write(value - before, out);
        before = *value;
    }
}

/// Numbers that rise, all of them. `None`: that is none.
pub(super) fn parse_rising(mut bytes: &[u8]) -> Option<Vec<u64>> {
    let most = bytes.len();
    let count = varint::read_size(&mut bytes, most)?;
    let (mut values, mut value) = (Vec::with_capacity(count), 0u64);
    for _ in 0..count {
        value = value.checked_add(varint::read(&mut bytes)?)?;
        values.push(value);
    }
    Some(values)
}

struct Group {
    least: u64,
    width: u8,
}

impl Group {
    fn of(values: &[u64]) -> Self {
        let least = values.iter().copied().min().unwrap_or(0);
        let span = values.iter().copied().max().unwrap_or(0) - least;
        let width = match u32::try_from(span) {
            Ok(span) => (u32::BITS - span.leading_zeros()).to_le_bytes()[0],
            Err(_) => WHOLE,
        };
        Self { least, width }
    }

    fn pack(&self, values: &[u64], packer: BitPacker4x, out: &mut Vec<u8>) {
        if self.width == WHOLE {
            let padded = values.iter().copied().chain(std::iter::repeat(0)).take(GROUP);
            padded.for_each(|value| out.extend(value.to_le_bytes()));
            return;
        }
        let mut offsets = [0; GROUP];
        for (offset, value) in offsets.iter_mut().zip(values) {
            *offset = u32::try_from(value - self.least).unwrap_or(u32::MAX);
        }
        let (start, length) = (out.len(), bytes_of(self.width));
        out.resize(start + length, 0);
        packer.compress(&offsets, &mut out[start..], self.width);
    }
}

/// Bytes of a group of that width.
const fn bytes_of(width: u8) -> usize {
    width as usize * GROUP / 8
}

/// Encoded numbers.
pub(in crate::store) struct Packed {
    /// How many.
    pub(in crate::store) len: usize,
    form: Form,
}

enum Form {
    Constant(u64),
    Groups { widths: Bytes, least: Vec<u64>, starts: Vec<usize>, bits: Bytes },
}

impl Packed {
    /// Reads how `len` numbers are encoded. `None`: they are not.
    pub(super) fn parse(bytes: &Bytes, len: usize) -> Option<Self> {
        let (tag, mut rest) = bytes.split_first()?;
        let form = match *tag {
            CONSTANT => Form::Constant(varint::read(&mut rest)?),
            GROUPS => {
                let groups = len.div_ceil(GROUP);
                let widths = bytes.slice(1..).slice_ref(rest.get(..groups)?);
                rest = &rest[groups..];
                let mut least = Vec::with_capacity(groups);
                for _ in 0..groups {
                    least.push(varint::read(&mut rest)?);
                }
                let mut starts = Vec::with_capacity(groups);
                let mut end = 0;
                for width in &widths {
                    if *width > 32 && *width != WHOLE {
                        return None;
                    }
                    starts.push(end);
                    end += bytes_of(*width);
                }
                Form::Groups { widths, least, starts, bits: bytes.slice_ref(rest.get(..end)?) }
            }
            _ => return None,
        };
        Some(Self { len, form })
    }

    pub(in crate::store) fn groups(&self) -> usize {
        self.len.div_ceil(GROUP)
    }

    /// The number that all are, where they are.
    pub(in crate::store) fn constant(&self) -> Option<u64> {
        match self.form {
            Form::Constant(value) => Some(value),
            Form::Groups { .. } => None,
        }
    }

    /// A number that none exceeds.
    pub(in crate::store) fn bound(&self) -> u64 {
        match &self.form {
            Form::Constant(value) => *value,
            Form::Groups { widths, least, .. } => {
                let above = |width: u8| 1u64.checked_shl(width.into()).map_or(u64::MAX, |n| n - 1);
                let bounds = widths.iter().zip(least);
                bounds.map(|(width, least)| least.saturating_add(above(*width))).max().unwrap_or(0)
            }
        }
    }

    /// The numbers of a group; what is beyond the last number means nothing.
    pub(in crate::store) fn group(&self, group: usize, out: &mut [u64; GROUP]) {
        let (widths, least, starts, bits) = match &self.form {
            Form::Constant(value) => return out.fill(*value),
            Form::Groups { widths, least, starts, bits } => (widths, least, starts, bits),
        };
        let (width, bits) = (widths[group], &bits[starts[group]..]);
        if width == WHOLE {
            for (value, bytes) in out.iter_mut().zip(bits.chunks_exact(8)) {
                *value = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
            }
            return;
        }
        let mut offsets = [0; GROUP];
        BitPacker4x::new().decompress(&bits[..bytes_of(width)], &mut offsets, width);
        for (value, offset) in out.iter_mut().zip(offsets) {
            *value = least[group].wrapping_add(u64::from(offset));
        }
    }

    /// Numbers of a group that are places in a dictionary. One that is too large for any is
    /// the largest, which no dictionary has either.
    pub(in crate::store) fn codes(&self, group: usize, out: &mut [u32; GROUP]) {
        let code = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let (widths, least, starts, bits) = match &self.form {
            Form::Constant(value) => return out.fill(code(*value)),
            Form::Groups { widths, least, starts, bits } => (widths, least, starts, bits),
        };
        let (width, bits) = (widths[group], &bits[starts[group]..]);
        if width == WHOLE {
            return out.fill(u32::MAX);
        }
        BitPacker4x::new().decompress(&bits[..bytes_of(width)], out, width);
        let least = code(least[group]);
        for value in out {
            *value = value.wrapping_add(least);
        }
    }

    /// One of the numbers.
    pub(in crate::store) fn get(&self, at: usize) -> u64 {
        if let Form::Constant(value) = self.form {
            return value;
        }
        let mut group = [0; GROUP];
        self.group(at / GROUP, &mut group);
        group[at % GROUP]
    }

    /// All of them.
    pub(in crate::store) fn to_vec(&self) -> Vec<u64> {
        let mut all = Vec::with_capacity(self.len + GROUP);
        let mut group = [0; GROUP];
        for place in 0..self.groups() {
            self.group(place, &mut group);
            all.extend_from_slice(&group);
        }
        all.truncate(self.len);
        all
    }

    /// All of them, as places in a dictionary.
    pub(in crate::store) fn to_codes(&self) -> Vec<u32> {
        let mut all = Vec::with_capacity(self.len + GROUP);
        let mut group = [0; GROUP];
        for place in 0..self.groups() {
            self.codes(place, &mut group);
            all.extend_from_slice(&group);
        }
        all.truncate(self.len);
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn any_numbers() -> impl Strategy<Value = Vec<u64>> {
        let number = prop_oneof![0u64..9, 0u64..70_000, any::<u64>()];
        prop_oneof![
            prop::collection::vec(number, 0..400),
            prop::collection::vec(0u64..9, 0..400),
            (any::<u64>(), 0usize..400).prop_map(|(number, len)| vec![number; len]),
        ]
    }

    proptest! {
        #[test]
        fn numbers_come_back(numbers in any_numbers()) {
            let mut bytes = Vec::new();
            encode(&numbers, &mut bytes);
            let packed = Packed::parse(&bytes.into(), numbers.len()).unwrap();
            prop_assert_eq!(packed.to_vec(), numbers.clone());
            let codes = numbers.iter().map(|number| u32::try_from(*number).unwrap_or(u32::MAX));
            if numbers.iter().all(|number| *number < 1 << 20) {
                prop_assert_eq!(packed.to_codes(), codes.collect::<Vec<u32>>());
            }
            for (at, number) in numbers.iter().enumerate() {
                prop_assert_eq!(packed.get(at), *number);
            }
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), len in 0usize..600) {
            if let Some(packed) = Packed::parse(&bytes.into(), len) {
                prop_assert_eq!(packed.to_vec().len(), len);
                prop_assert_eq!(packed.to_codes().len(), len);
            }
        }
    }
}
