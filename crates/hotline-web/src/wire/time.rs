//! Times as RFC 3339 in UTC+8 with milliseconds.

use hotline_base::WallTime;
use jiff::{
    Timestamp,
    tz::{Offset, TimeZone},
};

/// `2026-11-22T08:00:00.000+08:00`. A time beyond the year 9999 is shown as its limit.
pub(crate) fn write(at: WallTime) -> String {
    let limit = if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let zone = TimeZone::fixed(Offset::constant(8));
    let time = Timestamp::from_millisecond(at.0).unwrap_or(limit).to_zoned(zone);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
}

/// Any offset is understood.
pub(crate) fn read(text: &str) -> Option<WallTime> {
    text.parse::<Timestamp>().ok().map(|it| WallTime(it.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shown_as_in_china_and_read_from_anywhere() {
        let at = WallTime(1_795_219_200_007);
        assert_eq!(write(at), "2026-11-21T08:00:00.007+08:00");
        assert_eq!(read("2026-11-21T08:00:00.007+08:00"), Some(at));
        assert_eq!(read("2026-11-21T00:00:00.007Z"), Some(at));
        assert_eq!(read("2026-11-21"), None);
        assert!(write(WallTime(i64::MAX)).starts_with("9999-12-31"));
    }
}
