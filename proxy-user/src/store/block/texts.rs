//! The dictionary of a column of texts, as bytes.

use bytes::Bytes;

use super::varint;

/// First byte: what follows is as it is.
const PLAIN: u8 = 0;
/// First byte: what follows is compressed, a block of LZ4.
const LZ4: u8 = 1;
/// Bytes of a dictionary at most: 64 Ki rows of the longest texts have fewer.
const MOST_BYTES: usize = 1 << 30;

/// Appends the texts: their number, their lengths, themselves.
pub(super) fn encode(texts: &[&[u8]], compressed: bool, out: &mut Vec<u8>) {
    let mut plain = Vec::new();
    varint::write(texts.len() as u64, &mut plain);
    for text in texts {
        varint::write(text.len() as u64, &mut plain);
    }
    plain.extend(texts.iter().copied().flatten());
    if compressed {
        let packed = lz4_flex::block::compress(&plain);
        if packed.len() < plain.len() {
            out.push(LZ4);
            varint::write(plain.len() as u64, out);
            out.extend(packed);
            return;
        }
    }
    out.push(PLAIN);
    out.extend(plain);
}

/// Texts in order, each once.
pub(in crate::store) struct Texts {
    bytes: Bytes,
    /// Where each ends in `bytes`.
    ends: Vec<u32>,
}

impl Texts {
    /// `None`: that is no dictionary.
    pub(super) fn parse(bytes: &Bytes) -> Option<Self> {
        let plain = match *bytes.first()? {
            PLAIN => bytes.slice(1..),
            LZ4 => {
                let mut rest = &bytes[1..];
                // A byte of LZ4 is no more than 255.
                let most = MOST_BYTES.min(255 * bytes.len());
                let length = varint::read_size(&mut rest, most)?;
                lz4_flex::block::decompress(rest, length).ok()?.into()
            }
            _ => return None,
        };
        let mut rest = plain.as_ref();
        let count = varint::read_size(&mut rest, plain.len())?;
        let (mut ends, mut end) = (Vec::with_capacity(count), 0u32);
        for _ in 0..count {
            let length = varint::read_size(&mut rest, MOST_BYTES)?;
            end = end.checked_add(u32::try_from(length).ok()?)?;
            ends.push(end);
        }
        let all = rest.get(..usize::try_from(end).ok()?)?;
        Some(Self { bytes: plain.slice_ref(all), ends })
    }

    pub(in crate::store) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(in crate::store) fn get(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)? as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.bytes.get(start..end)
    }

    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// All of them, one behind the other, and where each ends.
    pub(in crate::store) fn parts(&self) -> (&[u8], &[u32]) {
        (&self.bytes, &self.ends)
    }

    /// How many come before `text`.
    pub(in crate::store) fn before(&self, text: &[u8]) -> usize {
        let places: std::ops::Range<usize> = 0..self.len();
        super::partition_point(places, |at| self.get(at).is_some_and(|known| known < text))
    }
}
