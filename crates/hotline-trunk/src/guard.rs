//! Guards against toll fraud: who may call whom how often, and a stop when calls abroad burst.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use hotline_base::{AgentNo, MonoTime};

use crate::number::service_of_area;

/// What a role may dial (外呼权限).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DialPlan {
    /// Beginnings of normalised numbers; what is not here is refused. Calls abroad begin with
    /// `00`.
    pub allow: Vec<String>,
    /// Beginnings refused although `allow` has them; the longer of two that fit decides.
    pub deny: Vec<String>,
    /// Calls of one agent in any hour.
    pub per_hour: u32,
}

/// Guards that are for everybody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GuardConfig {
    /// Always permitted and first, whatever the other guards say.
    pub emergency: Vec<String>,
    /// So many calls abroad within `abroad_window` are ordinary; the next one closes the way
    /// abroad for `abroad_block`.
    pub abroad_max: usize,
    pub abroad_window: Duration,
    pub abroad_block: Duration,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            emergency: ["110", "119", "120", "122"].map(str::to_owned).to_vec(),
            abroad_max: 5,
            abroad_window: Duration::from_mins(10),
            abroad_block: Duration::from_hours(1),
        }
    }
}

/// Why a call may not go out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Barred {
    /// The agent has no right to call out.
    NoPlan,
    /// The plan does not have this number.
    NotInPlan,
    /// The agent called often enough in this hour.
    TooOften,
    /// Too many calls abroad; `began` with this one.
    Abroad { began: bool },
}

const HOUR: Duration = Duration::from_hours(1);

/// Remembers who called when.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    by_agent: BTreeMap<AgentNo, VecDeque<MonoTime>>,
    abroad: VecDeque<MonoTime>,
    abroad_blocked: Option<MonoTime>,
}

impl Guard {
    pub const fn new(config: GuardConfig) -> Self {
        Self { config, by_agent: BTreeMap::new(), abroad: VecDeque::new(), abroad_blocked: None }
    }

    /// Whether the number is one that must always be reachable.
    pub fn is_emergency(&self, number: &str) -> bool {
        self.config.emergency.iter().any(|it| it == number)
    }

    /// Until when no call goes abroad.
    pub fn abroad_blocked(&self, now: MonoTime) -> Option<MonoTime> {
        self.abroad_blocked.filter(|it| *it > now)
    }

    /// Lets a call pass and counts it. Emergency numbers pass and count for nothing.
    pub fn pass(
        &mut self,
        agent: &AgentNo,
        plan: Option<&DialPlan>,
        number: &str,
        now: MonoTime,
    ) -> Result<(), Barred> {
        if self.is_emergency(number) {
            return Ok(());
        }
        let plan = plan.ok_or(Barred::NoPlan)?;
        let reached = behind_codes(number);
        if !plan.permits(number) || !plan.permits(reached) {
            return Err(Barred::NotInPlan);
        }
        let made = self.by_agent.entry(agent.clone()).or_default();
        made.retain(|it| now.since(*it) < HOUR);
        if made.len() >= usize::try_from(plan.per_hour).unwrap_or(usize::MAX) {
            return Err(Barred::TooOften);
        }
        if reached.starts_with("00") {
            if self.abroad_blocked.is_some_and(|it| it > now) {
                return Err(Barred::Abroad { began: false });
            }
            self.abroad.retain(|it| now.since(*it) < self.config.abroad_window);
            if self.abroad.len() >= self.config.abroad_max {
                self.abroad.clear();
                self.abroad_blocked = Some(now + self.config.abroad_block);
                return Err(Barred::Abroad { began: true });
            }
            self.abroad.push_back(now);
        }
        made.push_back(now);
        Ok(())
    }
}

/// Longer than any number that begins with 1 and has no code of a carrier before it.
const MOBILE_LEN: usize = 11;

/// What a call reaches: the number behind the codes that choose a carrier or lead over the Internet
/// (17951, 12593, 193). Whoever permits mobile numbers by `1` does not mean
/// 17951 00852 21231234.
fn behind_codes(mut number: &str) -> &str {
    while number.len() > MOBILE_LEN && number.starts_with('1') {
        let n = if number.starts_with("19") { 3 } else { 5 };
        number = number.get(n..).unwrap_or_default();
    }
    number
}

/// Calls of an agent without a plan in any hour, to what the directory lists.
const LISTED_PER_HOUR: u32 = 60;

impl DialPlan {
    /// Permits one number and nothing else, as often as `other` permits its own.
    pub fn just(number: &str, other: Option<&Self>) -> Self {
        let per_hour = other.map_or(LISTED_PER_HOUR, |it| it.per_hour);
        let allow = [number, behind_codes(number)].map(str::to_owned).to_vec();
        Self { allow, deny: Vec::new(), per_hour }
    }

    /// Whether the plan has this normalised number. A service that is denied is so with the area
    /// code of a city before it, too.
    pub fn permits(&self, number: &str) -> bool {
        let (allow, deny) = (longest(&self.allow, number), longest(&self.deny, number));
        let service = service_of_area(number);
        let is_denied = |it| longest(&self.deny, it) > longest(&self.allow, it);
        allow.is_some() && deny < allow && !service.is_some_and(is_denied)
    }
}

/// The length of the longest of these beginnings that a number has.
fn longest(beginnings: &[String], number: &str) -> Option<usize> {
    beginnings.iter().filter(|it| number.starts_with(it.as_str())).map(String::len).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(allow: &[&str], deny: &[&str], per_hour: u32) -> DialPlan {
        let owned = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect();
        DialPlan { allow: owned(allow), deny: owned(deny), per_hour }
    }

    fn minute(n: u64) -> MonoTime {
        MonoTime(0) + Duration::from_mins(n)
    }

    fn agent() -> AgentNo {
        AgentNo::new("1001")
    }

    #[test]
    fn v26_only_what_the_plan_has_is_dialled() {
        let mut guard = Guard::new(GuardConfig::default());
        let plan = plan(&["1", "0771", "00852"], &["16", "077116"], 99);
        let mut check = |plan: Option<&DialPlan>, number: &str, expected| {
            assert_eq!(guard.pass(&agent(), plan, number, minute(0)), expected, "{number}");
        };
        check(Some(&plan), "13800138000", Ok(()));
        check(Some(&plan), "07715551234", Ok(()));
        check(Some(&plan), "0085221231234", Ok(()));
        check(Some(&plan), "0021", Err(Barred::NotInPlan));
        check(Some(&plan), "07725551234", Err(Barred::NotInPlan));
        check(Some(&plan), "16899999", Err(Barred::NotInPlan));
        check(Some(&plan), "0771168", Err(Barred::NotInPlan));
        check(None, "13800138000", Err(Barred::NoPlan));
    }

    /// 168 is paid for wherever it is called.
    #[test]
    fn v26_an_area_code_before_a_denied_service_makes_no_other_of_it() {
        let mut guard = Guard::new(GuardConfig::default());
        let plan = plan(&["1", "07"], &["16", "1259"], 99);
        let mut check = |number: &str, expected| {
            assert_eq!(guard.pass(&agent(), Some(&plan), number, minute(0)), expected, "{number}");
        };
        for number in ["16812345", "077216812345", "077212590"] {
            check(number, Err(Barred::NotInPlan));
        }
        for number in ["077112345", "0772110", "07715551234"] {
            check(number, Ok(()));
        }
    }

    #[test]
    fn v26_a_carriers_code_before_the_number_hides_no_call_abroad() {
        let config = GuardConfig { abroad_max: 1, ..GuardConfig::default() };
        let mut guard = Guard::new(config);
        let mut check = |allow: &[&str], number: &str, expected| {
            let plan = plan(allow, &["0779"], 99);
            assert_eq!(guard.pass(&agent(), Some(&plan), number, minute(0)), expected, "{number}");
        };
        // With mobile numbers and landlines permitted, the same behind a code, and nothing else.
        let usual = &["1", "07"];
        for number in ["1795113800138000", "1259313800138000", "1795107715551234", "19313800138000"]
        {
            check(usual, number, Ok(()));
        }
        for number in [
            "179510085221231234",
            "125930085221231234",
            "1930085221231234",
            "17951179510085221",
            "179510779555123",
        ] {
            check(usual, number, Err(Barred::NotInPlan));
        }
        // Where calls abroad are permitted, they are counted however they are dialled.
        let all = &["1", "00"];
        check(all, "179510085221231234", Ok(()));
        check(all, "0085221231234", Err(Barred::Abroad { began: true }));
        // What the operator lists is his word.
        let listed = "1795107715551234";
        let plan = DialPlan::just(listed, None);
        assert_eq!(guard.pass(&agent(), Some(&plan), listed, minute(0)), Ok(()));
    }

    #[test]
    fn emergency_numbers_pass_every_guard() {
        let mut guard = Guard::new(GuardConfig::default());
        let without_any = plan(&[], &["1"], 0);
        for number in ["110", "119", "120", "122"] {
            assert!(guard.is_emergency(number), "{number}");
            for plan in [None, Some(&without_any)].repeat(50) {
                assert_eq!(guard.pass(&agent(), plan, number, minute(0)), Ok(()), "{number}");
            }
        }
        // They count for nothing, and an hour that is full does not stop them.
        let one = plan(&["1"], &[], 1);
        let mut dial = |number| guard.pass(&agent(), Some(&one), number, minute(0));
        assert_eq!([dial("138"), dial("138")], [Ok(()), Err(Barred::TooOften)]);
        assert_eq!(dial("119"), Ok(()));
        assert_eq!(guard.pass(&agent(), None, "1101", minute(0)), Err(Barred::NoPlan));
    }

    #[test]
    fn v26_an_agent_calls_so_often_in_any_hour() {
        let mut guard = Guard::new(GuardConfig::default());
        let plan = plan(&["1"], &[], 2);
        let mut at = |n| guard.pass(&agent(), Some(&plan), "138", minute(n));
        let calls = [at(0), at(30), at(59), at(60), at(61), at(90)];
        let no = Err(Barred::TooOften);
        assert_eq!(calls, [Ok(()), Ok(()), no, Ok(()), no, Ok(())]);
        assert_eq!(guard.pass(&AgentNo::new("1002"), Some(&plan), "138", minute(61)), Ok(()));
    }

    #[test]
    fn v26_a_burst_abroad_closes_the_way_abroad_for_everybody_and_it_opens_again() {
        let config = GuardConfig { abroad_max: 2, ..GuardConfig::default() };
        let mut guard = Guard::new(config);
        let plan = plan(&["00", "1"], &[], 99);
        let mut dial = |no: &str, number: &str, at| {
            guard.pass(&AgentNo::new(no), Some(&plan), number, minute(at))
        };
        assert_eq!(dial("1001", "0021", 0), Ok(()));
        assert_eq!(dial("1002", "0021", 1), Ok(()));
        assert_eq!(dial("1003", "0021", 2), Err(Barred::Abroad { began: true }));
        assert_eq!(dial("1003", "0021", 3), Err(Barred::Abroad { began: false }));
        assert_eq!(dial("1003", "138", 3), Ok(()));
        assert_eq!(dial("1003", "0021", 61), Err(Barred::Abroad { began: false }));
        assert_eq!(dial("1003", "0021", 62), Ok(()));
        // Slow ones are ordinary.
        assert_eq!([73, 84, 95].map(|at| dial("1001", "0021", at)), [Ok(()); 3]);
        // By default the sixth within ten minutes is one too many.
        let mut guard = Guard::new(GuardConfig::default());
        let mut dial = |at| guard.pass(&agent(), Some(&plan), "0021", minute(at));
        assert_eq!([0, 1, 2, 3, 4].map(&mut dial), [Ok(()); 5]);
        assert_eq!(dial(9), Err(Barred::Abroad { began: true }));
        assert_eq!(dial(68), Err(Barred::Abroad { began: false }));
    }
}
