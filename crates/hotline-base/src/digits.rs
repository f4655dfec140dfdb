//! Numbers as text, for names that are made several times in each call: the machinery of `format!`
//! costs as much as the rest of such a step.

/// Writes a number to this base, at most 16, with at least `width` digits, which is at most 20.
pub fn push_digits<const BASE: u64>(out: &mut String, number: u64, width: usize) {
    // As many as base 10 has.
    let mut digits = [b'0'; 20];
    let mut rest = number;
    let mut n = 0;
    for place in digits.iter_mut().rev() {
        if rest == 0 && n >= width.max(1) {
            break;
        }
        let digit = u32::try_from(rest % BASE).ok().and_then(|it| char::from_digit(it, 16));
        *place = digit.and_then(|it| u8::try_from(it).ok()).unwrap_or(b'0');
        rest /= BASE;
        n += 1;
    }
    let written = digits.len().checked_sub(n).and_then(|from| digits.get(from..));
    out.push_str(written.and_then(|it| str::from_utf8(it).ok()).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_format() {
        for number in [0, 7, 9, 10, 15, 16, 99, 1_000, 0xabc, u64::MAX] {
            let mut text = String::new();
            push_digits::<10>(&mut text, number, 1);
            push_digits::<10>(&mut text, number, 4);
            push_digits::<16>(&mut text, number, 1);
            assert_eq!(text, format!("{number}{number:04}{number:x}"));
        }
    }
}
