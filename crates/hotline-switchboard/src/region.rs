//! 归属地 of a number: by its area code where that tells, by a table for mobile numbers (domain paper
//! 7.1, 7.3).

/// Area codes of Guangxi that serve one city. Four others (0771, 0772, 0774, 0775) serve two each:
/// there a landline does not tell the city.
const SINGLE: [(&str, Region); 6] = [
    ("0770", Region(450_600)),
    ("0773", Region(450_300)),
    ("0776", Region(451_000)),
    ("0777", Region(450_700)),
    ("0778", Region(451_200)),
    ("0779", Region(450_500)),
];

/// Digits of a mobile number that tell where it was issued (GF 001-9001: 1 3 8 and H1 to H4).
const SEGMENT: usize = 7;

/// A region code of six digits (GB/T 2260); none is unknown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Region(u32);

impl Region {
    /// Six digits, or empty.
    pub(crate) fn text(self) -> String {
        if self == Self::default() { String::new() } else { format!("{:06}", self.0) }
    }
}

/// Where mobile numbers were issued, by their first seven digits. Numbers that were ported stay in
/// their city; segments that are not here are of no known one.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    /// Sorted by segment.
    mobiles: Vec<(u32, Region)>,
}

impl Regions {
    /// Seven digits and a region code each; of a segment that is given twice the first one counts.
    pub fn new(rows: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut mobiles: Vec<_> = rows.into_iter().map(|it| (it.0, Region(it.1))).collect();
        mobiles.sort_by_key(|it| it.0);
        mobiles.dedup_by_key(|it| it.0);
        Self { mobiles }
    }

    /// The region of a normalised caller number.
    pub(crate) fn of(&self, number: &str) -> Region {
        let by_area = SINGLE.iter().find(|(area, _)| number.starts_with(area));
        if let Some((_, region)) = by_area {
            return *region;
        }
        let is_mobile = number.len() == 11 && number.starts_with('1');
        let segment = number.get(..SEGMENT).filter(|_| is_mobile);
        let segment = segment.and_then(|it| it.parse::<u32>().ok());
        let found = segment.and_then(|it| self.mobiles.binary_search_by_key(&it, |it| it.0).ok());
        found.and_then(|it| self.mobiles.get(it)).map_or_else(Region::default, |it| it.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_landline_tells_its_city_only_where_the_area_code_is_its_own() {
        let none = Regions::default();
        assert_eq!(none.of("07735551234").text(), "450300");
        assert_eq!(none.of("07715551234").text(), "");
        assert_eq!(none.of("13800138000").text(), "");
    }

    #[test]
    fn a_mobile_number_is_of_the_city_that_the_table_names_and_of_none_otherwise() {
        let rows = [(1_358_170, 450_600), (1_340_770, 450_100), (1_340_770, 450_200)];
        let it = Regions::new(rows);
        assert_eq!(it.of("13407701234").text(), "450100", "the first row counts");
        assert_eq!(it.of("13581701234").text(), "450600");
        // Unknown, too short, too long, a landline of the same digits, no number at all.
        for other in ["13407711234", "1340770", "134077012345", "01340770123", "", "匿名号码"] {
            assert_eq!(it.of(other).text(), "", "{other}");
        }
    }
}
