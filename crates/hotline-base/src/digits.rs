//! Numbers as text, for names that are made several times in each call: the machinery of `format!`
//! costs as much as the rest of such a step.

/// Writes a number to this base, at most 16, with at least `width` digits.
pub fn push_digits<const BASE: u64>(out: &mut String, number: u64, width: usize) {
    if number >= BASE || width > 1 {
        push_digits::<BASE>(out, number / BASE, width.saturating_sub(1));
    }
    let digit = u32::try_from(number % BASE).ok().and_then(|it| char::from_digit(it, 16));
    out.push(digit.unwrap_or('0'));
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
