//! Working days and service hours: 调休 is data.

use std::collections::BTreeMap;

use hotline_base::WallTime;

use crate::civil::{Civil, Date};

/// What a day is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DayKind {
    /// A working day, by the week or by 调休.
    Work,
    /// Saturday or Sunday that no calendar names.
    Weekend,
    /// A holiday of a calendar.
    Rest,
}

impl DayKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Weekend => "weekend",
            Self::Rest => "rest",
        }
    }
}

/// 日历: the named days, those of the inherited calendars included.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    /// Only [`DayKind::Work`] and [`DayKind::Rest`], with the name of the day.
    pub days: BTreeMap<Date, (DayKind, String)>,
}

impl Calendar {
    pub fn kind(&self, date: Date) -> DayKind {
        match self.days.get(&date) {
            Some((kind, _)) => *kind,
            None if date.weekday() >= 6 => DayKind::Weekend,
            None => DayKind::Work,
        }
    }
}

/// 服务时间: hours for each kind of day, and dates with hours of their own.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// Name of the calendar; empty for the bare week.
    pub calendar: String,
    pub work: Vec<Hours>,
    pub weekend: Vec<Hours>,
    pub rest: Vec<Hours>,
    pub special: BTreeMap<Date, Vec<Hours>>,
}

/// From `start` (inclusive) to `end` (exclusive), in milliseconds since midnight. An end that is
/// not later than the start lies on the next day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hours {
    pub start: u32,
    pub end: u32,
}

/// What a schedule says of a moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    Open,
    Closed,
    /// Closed, and the day is a holiday of the calendar.
    Holiday,
}

impl Decision {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Holiday => "holiday",
        }
    }
}

impl Hours {
    const fn crosses_midnight(self) -> bool {
        self.end <= self.start
    }
}

impl Schedule {
    fn hours_of(&self, date: Date, calendar: &Calendar) -> &[Hours] {
        if let Some(hours) = self.special.get(&date) {
            return hours;
        }
        match calendar.kind(date) {
            DayKind::Work => &self.work,
            DayKind::Weekend => &self.weekend,
            DayKind::Rest => &self.rest,
        }
    }

    pub fn decide(&self, calendar: &Calendar, at: WallTime) -> Decision {
        let Civil { date, ms } = Civil::of(at);
        let today = self.hours_of(date, calendar).iter();
        let yesterday = self.hours_of(date.plus_days(-1), calendar).iter();
        let open = today.clone().any(|it| ms >= it.start && (ms < it.end || it.crosses_midnight()))
            || yesterday.clone().any(|it| it.crosses_midnight() && ms < it.end);
        if open {
            Decision::Open
        } else if calendar.kind(date) == DayKind::Rest {
            Decision::Holiday
        } else {
            Decision::Closed
        }
    }
}
