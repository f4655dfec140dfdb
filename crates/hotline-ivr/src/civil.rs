//! Civil time in Asia/Shanghai: UTC+8 all year, since 1991 without summer time.

use std::fmt;

use hotline_base::WallTime;

const OFFSET_MS: i64 = 8 * 3_600_000;
const DAY_MS: i64 = 86_400_000;

/// A date of the Gregorian calendar, ordered by time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Date {
    pub year: i32,
    /// 1–12.
    pub month: u8,
    /// 1–31.
    pub day: u8,
}

/// A moment as a clock on the wall in Nanning shows it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Civil {
    pub date: Date,
    /// Milliseconds since midnight.
    pub ms: u32,
}

impl Date {
    /// `2026-02-14`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
            return None;
        }
        Self::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
    }

    /// `None` for a day that does not exist.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        (1..=days).contains(&day).then_some(Self { year, month, day })
    }

    /// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    pub fn to_days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The inverse of [`to_days`](Self::to_days).
    pub fn from_days(days: i64) -> Self {
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self {
            year: i32::try_from(year).unwrap_or(i32::MAX),
            month: u8::try_from(month).unwrap_or(1),
            day: u8::try_from(day).unwrap_or(1),
        }
    }

    /// Monday 1 to Sunday 7 (ISO 8601).
    pub fn weekday(self) -> u8 {
        u8::try_from((self.to_days() + 3).rem_euclid(7) + 1).unwrap_or(1)
    }

    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        Self::from_days(self.to_days() + days)
    }
}

impl Civil {
    pub fn of(wall: WallTime) -> Self {
        let local = wall.0.saturating_add(OFFSET_MS);
        Self {
            date: Date::from_days(local.div_euclid(DAY_MS)),
            ms: u32::try_from(local.rem_euclid(DAY_MS)).unwrap_or(0),
        }
    }

    pub fn to_wall(self) -> WallTime {
        WallTime(self.date.to_days() * DAY_MS + i64::from(self.ms) - OFFSET_MS)
    }

    /// `2026-02-14T10:30:00+08:00`, `…Z`, or without a zone (then Asia/Shanghai); seconds may be
    /// left out.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once(['T', ' '])?;
        let date = Date::parse(date)?;
        let (clock, offset_ms) = if let Some(clock) = rest.strip_suffix('Z') {
            (clock, 0)
        } else if let Some((clock, zone)) = rest.split_once('+') {
            (clock, i64::from(clock_ms(zone)?))
        } else {
            (rest, OFFSET_MS)
        };
        let utc = date.to_days() * DAY_MS + i64::from(clock_ms(clock)?) - offset_ms;
        Some(Self::of(WallTime(utc)))
    }

    pub const fn hour(self) -> u32 {
        self.ms / 3_600_000
    }
}

/// `08:30` or `08:30:15` as milliseconds since midnight; `24:00` is the end of the day.
pub(crate) fn clock_ms(text: &str) -> Option<u32> {
    let mut parts = text.split(':');
    let hour: u32 = two_digits(parts.next()?)?;
    let minute: u32 = two_digits(parts.next()?)?;
    let second: u32 = parts.next().map_or(Some(0), two_digits)?;
    if parts.next().is_some() || minute > 59 || second > 59 {
        return None;
    }
    let ms = (hour * 3_600 + minute * 60 + second) * 1_000;
    (ms <= 86_400_000).then_some(ms)
}

fn two_digits(text: &str) -> Option<u32> {
    (text.len() == 2 && text.bytes().all(|it| it.is_ascii_digit())).then(|| text.parse().ok())?
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Civil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.ms / 1_000;
        write!(f, "{}T{:02}:{:02}:{:02}+08:00", self.date, s / 3_600, s / 60 % 60, s % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_survives_the_way_to_a_number_and_back() {
        for days in -100_000..200_000 {
            let date = Date::from_days(days);
            assert_eq!(date.to_days(), days);
            assert_eq!(Date::new(date.year, date.month, date.day), Some(date));
        }
    }

    #[test]
    fn the_clock_on_the_wall_is_eight_hours_ahead() {
        let civil = Civil::parse("2026-02-14T10:30:00+08:00").unwrap();
        assert_eq!(civil.to_string(), "2026-02-14T10:30:00+08:00");
        assert_eq!(civil.date.weekday(), 6);
        assert_eq!(Civil::parse("2026-02-14T02:30:00Z"), Some(civil));
        assert_eq!(Civil::parse("2026-02-14T10:30"), Some(civil));
        assert_eq!(Civil::of(civil.to_wall()), civil);
        assert_eq!(Date::parse("2025-02-29"), None);
        assert_eq!(Date::parse("2024-02-29").map(Date::weekday), Some(4));
        assert_eq!(clock_ms("24:00"), Some(86_400_000));
        assert_eq!(clock_ms("24:01"), None);
    }
}
