//! A time as it is written outside.

use std::fmt;

use hotline_base::WallTime;
use jiff::{Timestamp, tz::Offset};
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
        let at = Timestamp::from_millisecond(ms).unwrap_or(limit);
        let it = Offset::constant(8).to_datetime(at);
        // By hand: a record has dozens of times, and a general formatter costs as much as the rest.
        write!(f, "{:04}-{:02}-{:02}T", it.year(), it.month(), it.day())?;
        write!(f, "{:02}:{:02}:{:02}", it.hour(), it.minute(), it.second())?;
        write!(f, ".{:03}+08:00", it.millisecond())
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
