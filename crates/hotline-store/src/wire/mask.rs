//! Numbers as those see them who have no business with the caller.

use super::{FactJson, StampedJson};

/// `13800138000` becomes `138****8000`. Of a short number the last two digits stay.
pub fn masked_number(number: &str) -> String {
    let n_all = number.chars().count();
    let (n_head, n_tail) = if n_all >= 10 { (3, 4) } else { (0, n_all.min(2)) };
    let mask = |(at, it): (usize, char)| {
        if at < n_head || at >= n_all - n_tail { it } else { '*' }
    };
    number.chars().enumerate().map(mask).collect()
}

impl StampedJson {
    /// Numbers masked, what the caller entered left out.
    #[must_use]
    pub(super) fn masked(mut self) -> Self {
        if let FactJson::Arrived { caller_no, caller_raw, .. } = &mut self.fact {
            *caller_no = caller_no.as_deref().map(masked_number);
            *caller_raw = masked_number(caller_raw);
        }
        if let FactJson::Dialled { called_no, .. } | FactJson::RungOutside { called_no, .. } =
            &mut self.fact
        {
            *called_no = masked_number(called_no);
        }
        if let FactJson::PartyCalled { called_no, .. } = &mut self.fact {
            *called_no = called_no.as_deref().map(masked_number);
        }
        if let FactJson::Signalled { preferred, diverted_from, user_to_user, .. } = &mut self.fact {
            *preferred = preferred.as_deref().map(masked_number);
            *diverted_from = diverted_from.as_deref().map(masked_number);
            *user_to_user = None;
        }
        if let FactJson::Exported { value, .. } = &mut self.fact {
            value.clear();
        }
        if let FactJson::Returned { values, .. } = &mut self.fact {
            values.values_mut().for_each(String::clear);
        }
        if let FactJson::FlowLogged { text, .. } = &mut self.fact {
            text.clear();
        }
        self
    }
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
