//! Guards against toll fraud: who may call whom how often, and a stop when calls abroad burst.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use hotline_base::{AgentNo, MonoTime};

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
        if !plan.permits(number) {
            return Err(Barred::NotInPlan);
        }
        let made = self.by_agent.entry(agent.clone()).or_default();
        made.retain(|it| now.since(*it) < HOUR);
        if made.len() >= usize::try_from(plan.per_hour).unwrap_or(usize::MAX) {
            return Err(Barred::TooOften);
        }
        if number.starts_with("00") {
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

/// Calls of an agent without a plan in any hour, to what the directory lists.
const LISTED_PER_HOUR: u32 = 60;

impl DialPlan {
    /// Permits one number and nothing else, as often as `other` permits its own.
    pub fn just(number: &str, other: Option<&Self>) -> Self {
        let per_hour = other.map_or(LISTED_PER_HOUR, |it| it.per_hour);
        Self { allow: vec![number.to_owned()], deny: Vec::new(), per_hour }
    }

    /// Whether the plan has this normalised number.
    pub fn permits(&self, number: &str) -> bool {
        let longest = |all: &[String]| {
            all.iter().filter(|it| number.starts_with(it.as_str())).map(String::len).max()
        };
        longest(&self.allow).is_some_and(|it| longest(&self.deny).is_none_or(|no| no < it))
    }
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

    #[test]
    fn emergency_numbers_pass_every_guard() {
        let mut guard = Guard::new(GuardConfig::default());
        for n in 0..100 {
            assert_eq!(guard.pass(&agent(), None, "110", minute(0)), Ok(()), "{n}");
        }
        assert_eq!(guard.pass(&agent(), Some(&plan(&["1"], &[], 1)), "138", minute(0)), Ok(()));
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
