//! Bytes of the network as text that can be shown: in a terminal, a log, a table.

use smol_str::SmolStr;

/// Stands at the end of what is cut.
const CUT: &str = "…";

/// `bytes` as text of at most `most` bytes. Control and bidirectional formatting
/// characters, and what is no UTF-8, are written as `\xNN`, a byte each. What is longer is
/// cut between two characters and ends with `…`, which takes 3 of the bytes.
pub fn shown(bytes: &[u8], most: usize) -> SmolStr {
    let is_plain = bytes.len() <= most && bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    if is_plain && let Ok(text) = str::from_utf8(bytes) {
        return text.into();
    }
    let mut shown = Shown { text: String::with_capacity(bytes.len().min(most)), most, whole: 0 };
    for chunk in bytes.utf8_chunks() {
        let fits = chunk.valid().chars().all(|character| shown.add(character))
            && (chunk.invalid().is_empty() || shown.add_escaped(chunk.invalid()));
        if !fits {
            return shown.cut();
        }
    }
    shown.text.into()
}

/// Text that grows up to a limit.
struct Shown {
    text: String,
    most: usize,
    /// Bytes of whole characters that leave room for the mark.
    whole: usize,
}

impl Shown {
    /// False: there is no room.
    fn add(&mut self, character: char) -> bool {
        if character.is_control() || is_bidirectional(character) {
            return self.add_escaped(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        let fits = self.text.len() + character.len_utf8() <= self.most;
        if fits {
            self.text.push(character);
            self.mark();
        }
        fits
    }

    /// False: there is no room.
    fn add_escaped(&mut self, bytes: &[u8]) -> bool {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let fits = self.text.len() + 4 * bytes.len() <= self.most;
        if fits {
            for byte in bytes {
                let digits = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)].into());
                self.text.push_str("\\x");
                self.text.extend::<[char; 2]>(digits);
            }
            self.mark();
        }
        fits
    }

    fn mark(&mut self) {
        if self.text.len() + CUT.len() <= self.most {
            self.whole = self.text.len();
        }
    }

    fn cut(mut self) -> SmolStr {
        self.text.truncate(self.whole);
        self.text.push_str(CUT);
        self.text.into()
    }
}

/// Characters that change the direction of what is around them (UAX #9, 2).
fn is_bidirectional(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}
