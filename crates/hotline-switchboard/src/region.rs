//! 归属地 of a number, as far as the number itself tells (domain paper 7.1).

/// Area codes of Guangxi that serve one city. Four others (0771, 0772, 0774, 0775) serve two each:
/// there a landline does not tell the city.
const SINGLE: [(&str, &str); 6] = [
    ("0770", "450600"),
    ("0773", "450300"),
    ("0776", "451000"),
    ("0777", "450700"),
    ("0778", "451200"),
    ("0779", "450500"),
];

/// The region code of a normalised caller number, or empty.
pub(crate) fn city_of(number: &str) -> &'static str {
    SINGLE.iter().find(|(area, _)| number.starts_with(area)).map_or("", |(_, city)| city)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_landline_tells_its_city_only_where_the_area_code_is_its_own() {
        assert_eq!(city_of("07735551234"), "450300");
        assert_eq!(city_of("07715551234"), "");
        assert_eq!(city_of("13800138000"), "");
    }
}
