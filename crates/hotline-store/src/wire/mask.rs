//! Numbers as those see them who have no business with the caller.

/// `13800138000` becomes `138****8000`. Of a short number the last two digits stay.
pub fn masked_number(number: &str) -> String {
    let n_all = number.chars().count();
    let (n_head, n_tail) = if n_all >= 10 { (3, 4) } else { (0, n_all.min(2)) };
    let mask = |(at, it): (usize, char)| {
        if at < n_head || at >= n_all - n_tail { it } else { '*' }
    };
    number.chars().enumerate().map(mask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_of_a_number_is_hidden() {
        assert_eq!(masked_number("13800138000"), "138****8000");
        assert_eq!(masked_number("07715551234"), "077****1234");
        assert_eq!(masked_number("5551234"), "*****34");
        assert_eq!(masked_number("1"), "1");
        assert_eq!(masked_number(""), "");
    }
}
