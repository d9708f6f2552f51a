//! Values of enumerations as small numbers.

/// Place in a list, from 1; 0 is none.
pub(super) fn place<T: PartialEq>(all: &[T], value: &T) -> u8 {
    let index = all.iter().position(|known| known == value).unwrap_or(0);
    u8::try_from(index + 1).unwrap_or(u8::MAX)
}

/// What has that place; `None` also for 0.
pub(super) fn at<T: Copy>(all: &[T], place: u8) -> Option<T> {
    all.get(usize::from(place).checked_sub(1)?).copied()
}
