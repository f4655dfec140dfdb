//! A time as it is written outside.

use std::fmt;

use hotline_base::WallTime;
use jiff::{
    Timestamp,
    tz::{Offset, TimeZone},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// RFC 3339 in UTC+8 with milliseconds, `2026-11-22T08:00:00.000+08:00`. Read with any offset.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Time(pub WallTime);

impl From<WallTime> for Time {
    fn from(it: WallTime) -> Self {
        Self(it)
    }
}

/// A time beyond the year 9999 is shown as its limit.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.0;
        let limit = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let zone = TimeZone::fixed(Offset::constant(8));
        let time = Timestamp::from_millisecond(ms).unwrap_or(limit).to_zoned(zone);
        write!(f, "{}", time.strftime("%Y-%m-%dT%H:%M:%S.%3f%:z"))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let time: Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Self(WallTime(time.as_millisecond())))
    }
}
