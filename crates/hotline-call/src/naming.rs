//! Names of recordings.

use hotline_base::{CallId, RecordingId, WallTime, push_digits};

/// 录音流水号: date, time (UTC+8) and call, with the number of the recording in the call.
/// `20261122-140512-18f3a2b4c5d-1`.
pub(crate) fn recording_id(call: CallId, n: u32, at: WallTime) -> RecordingId {
    let mut id = String::with_capacity(LENGTH);
    push_date(&mut id, at, "");
    let (hour, minute, second) = clock(at);
    id.push('-');
    for it in [hour, minute, second] {
        push_digits::<10>(&mut id, it.unsigned_abs(), 2);
    }
    id.push('-');
    push_digits::<16>(&mut id, call.0, 1);
    id.push('-');
    push_digits::<10>(&mut id, n.into(), 1);
    RecordingId::new(&id)
}

/// `2026/11/22/<recording>.wav`, relative to the recording directory.
pub(crate) fn recording_path(recording: &RecordingId, at: WallTime) -> String {
    let mut path = String::with_capacity(LENGTH);
    push_date(&mut path, at, "/");
    for it in ["/", recording.as_str(), ".wav"] {
        path.push_str(it);
    }
    path
}

/// Room for a name or a path.
const LENGTH: usize = 56;

fn push_date(out: &mut String, at: WallTime, between: &str) {
    let (year, month, day) = civil(at);
    push_digits::<10>(out, year.unsigned_abs(), 4);
    for it in [month, day] {
        out.push_str(between);
        push_digits::<10>(out, it.unsigned_abs(), 2);
    }
}

const SHANGHAI_MS: i64 = 8 * 3600 * 1000;
const DAY_MS: i64 = 86_400_000;

fn clock(at: WallTime) -> (i64, i64, i64) {
    let secs = (at.0 + SHANGHAI_MS).rem_euclid(DAY_MS) / 1000;
    (secs / 3600, secs / 60 % 60, secs % 60)
}

/// Year, month and day in UTC+8 of the proleptic Gregorian calendar. The year is counted from
/// 1 March, so that a leap day is its last day.
fn civil(at: WallTime) -> (i64, i64, i64) {
    let days = (at.0 + SHANGHAI_MS).div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_named_by_the_day_in_shanghai() {
        // 2026-11-22T16:30:05Z is half past midnight of the 23rd in Shanghai.
        let at = WallTime(1_795_365_005_000);
        let id = recording_id(CallId(0xabc), 1, at);
        assert_eq!(id.as_str(), "20261123-003005-abc-1");
        assert_eq!(recording_path(&id, at), "2026/11/23/20261123-003005-abc-1.wav");
    }

    #[test]
    fn leap_days_and_year_ends_are_named_right() {
        assert_eq!(civil(WallTime(1_709_164_800_000)), (2024, 2, 29));
        assert_eq!(civil(WallTime(1_767_196_800_000)), (2026, 1, 1));
        assert_eq!(civil(WallTime(-SHANGHAI_MS)), (1970, 1, 1));
    }
}
