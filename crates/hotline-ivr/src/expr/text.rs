//! Text functions of expressions.

/// Characters from `start`, at most `len`; what lies outside the text is nothing.
pub(super) fn substr(text: &str, start: i64, len: Option<i64>) -> String {
    let start = usize::try_from(start).unwrap_or(0);
    let len = len.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(0));
    text.chars().skip(start).take(len).collect()
}

/// FNV-1a of 64 bits without its sign: the same on every machine for ever, so that a caller keeps
/// the arm of an experiment.
pub(super) fn hash(text: &str) -> i64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |it, byte| {
        (it ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    i64::try_from(hash >> 1).unwrap_or(0)
}

/// A number with its middle hidden: `138****8000`; short texts keep their last two characters.
pub(crate) fn mask(text: &str) -> String {
    let n = text.chars().count();
    let (head, tail) = if n >= 8 { (3, 4) } else { (0, n.min(4) / 2) };
    text.chars()
        .enumerate()
        .map(|(idx, it)| if idx < head || idx + tail >= n { it } else { '*' })
        .collect()
}
