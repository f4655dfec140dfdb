//! Blacklist and VIP: the database behind the web's words, and its content in the switchboard.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hotline_base::{Pii, WallTime};
use hotline_store::{Database, ListChange, ListInForce, ListQuery, StoreError};
use hotline_trunk::{ENTRIES_MAX, ListAction, ListEntry, Lists, normalise_caller};
use hotline_web::{
    Answer, ArchiveError, CallPage, ListDraft, ListError, ListFilter, Lists as WebLists, Sight,
};
use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};

use super::{
    archive::{away, eyes, json},
    views::Views,
};
use crate::clock::wall;

/// Between two attempts to read the lists at the start.
const AGAIN: Duration = Duration::from_secs(1);

/// Nobody is shut out for longer by one decision: a hotline must not silently block citizens.
const BLACKLIST_MAX: i64 = 366 * 24 * 3_600_000;

/// Digits of the shortest beginning: a carrier's segment such as 170, never all mobiles.
const PREFIX_MIN: usize = 3;

/// What each list may ask for.
const ACTIONS: [(&str, &[ListAction]); 2] = [
    (
        "blacklist",
        &[ListAction::Reject, ListAction::Announce, ListAction::LowPriority, ListAction::Voicemail],
    ),
    ("vip", &[ListAction::Prefer]),
];

#[derive(Debug)]
pub(super) struct Listing {
    database: Database,
    views: Views,
    /// To the control thread; the newest counts.
    shown: watch::Sender<Arc<Lists>>,
    /// One change at a time reaches the database *and* control, so that none is shown in the place
    /// of a later one.
    turn: Mutex<()>,
}

impl Listing {
    pub(super) fn new(database: Database, views: Views, shown: watch::Sender<Arc<Lists>>) -> Self {
        Self { database, views, shown, turn: Mutex::new(()) }
    }

    /// Shows control what is in force, as soon as the database says it. Until then nobody is on a
    /// list: callers come before lists.
    pub(super) async fn begin(&self) {
        loop {
            {
                let _turn = self.turn.lock().await;
                match self.show().await {
                    Ok(()) => return,
                    Err(error) => tracing::debug!(%error, "The lists cannot be read yet."),
                }
            }
            sleep(AGAIN).await;
            if self.shown.is_closed() {
                return;
            }
        }
    }

    async fn show(&self) -> Result<(), StoreError> {
        let rows = self.database.lists_in_force(wall()).await?;
        if rows.len() > ENTRIES_MAX {
            tracing::error!(n = rows.len(), "More entries of lists are in force than are used.");
        }
        self.shown.send_replace(Arc::new(Lists::new(rows.into_iter().filter_map(in_force))));
        Ok(())
    }

    /// The entry after a change that control knows of.
    async fn after(&self, id: u64) -> Result<String, ListError> {
        self.show().await.map_err(gone)?;
        let all = hotline_store::Sight::All;
        let entry = self.database.list_entry(id, &all, wall()).await.map_err(gone)?;
        json(&entry.ok_or(ListError::Missing)?).map_err(ListError::Archive)
    }
}

impl WebLists for Listing {
    fn page(&self, filter: ListFilter, sight: Sight) -> Answer<'_, Result<CallPage, ArchiveError>> {
        Box::pin(async move {
            let query = ListQuery {
                list: filter.list,
                state: filter.state,
                number: filter.number.map(|it| normal(&it).unwrap_or(it)),
                n_max: filter.n_max,
                after: filter.after,
            };
            let page =
                self.database.list_entries(&query, &eyes(sight), wall()).await.map_err(away)?;
            let items = page.items.iter().map(json).collect::<Result<_, _>>()?;
            Ok(CallPage { items, next: page.next })
        })
    }

    fn one(&self, id: u64, sight: Sight) -> Answer<'_, Result<Option<String>, ArchiveError>> {
        Box::pin(async move {
            let found = self.database.list_entry(id, &eyes(sight), wall()).await.map_err(away)?;
            found.as_ref().map(json).transpose()
        })
    }

    fn audit(&self, id: u64) -> Answer<'_, Result<Vec<String>, ArchiveError>> {
        Box::pin(async move {
            let steps = self.database.list_audit(id).await.map_err(away)?;
            steps.iter().map(json).collect()
        })
    }

    fn draft(
        &self,
        id: Option<u64>,
        draft: ListDraft,
        who: String,
    ) -> Answer<'_, Result<String, ListError>> {
        Box::pin(async move {
            let draft = checked(draft, &self.views, wall())?;
            let _turn = self.turn.lock().await;
            let id = match id {
                None => self.database.list_draft(&draft, &who, wall()).await.map_err(gone)?,
                Some(id) => {
                    let change = self.database.list_change(id, &draft, &who, wall()).await;
                    done(change.map_err(gone)?)?;
                    id
                }
            };
            self.after(id).await
        })
    }

    fn approve(&self, id: u64, who: String) -> Answer<'_, Result<String, ListError>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            if self.shown.borrow().len() >= ENTRIES_MAX {
                return Err(ListError::Full);
            }
            done(self.database.list_approve(id, &who, wall()).await.map_err(gone)?)?;
            self.after(id).await
        })
    }

    fn remove(&self, id: u64, who: String) -> Answer<'_, Result<(), ListError>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            done(self.database.list_remove(id, &who, wall()).await.map_err(gone)?)?;
            self.show().await.map_err(gone)
        })
    }
}

fn done(it: ListChange) -> Result<(), ListError> {
    match it {
        ListChange::Done => Ok(()),
        ListChange::Missing => Err(ListError::Missing),
        ListChange::SamePerson => Err(ListError::SamePerson),
        ListChange::NotADraft => Err(ListError::NotADraft),
    }
}

fn gone(error: StoreError) -> ListError {
    ListError::Archive(away(error))
}

/// Of another version of this program, it may ask for what this one does not know.
fn in_force(row: ListInForce) -> Option<ListEntry> {
    let it = row.draft;
    Some(ListEntry {
        id: row.id,
        action: ListAction::of(&it.action)?,
        list: it.list,
        city: it.city,
        number: it.number,
        is_prefix: it.is_prefix,
        priority: it.priority,
        group: it.group,
        expires: it.expires,
    })
}

/// The number as calls carry it.
fn normal(it: &Pii<String>) -> Option<Pii<String>> {
    normalise_caller(it.reveal(), None).map(Pii::new)
}

/// A draft that means something.
fn checked(
    it: ListDraft,
    views: &Views,
    now: WallTime,
) -> Result<hotline_store::ListDraft, ListError> {
    let wrong = |field, english, chinese| Err(ListError::Invalid(field, english, chinese));
    let actions: BTreeMap<_, _> = ACTIONS.into();
    let Some(actions) = actions.get(it.list.as_str()) else {
        return wrong("list", "a list is blacklist or vip", "list 只能是 blacklist 或 vip");
    };
    if !actions.iter().any(|known| known.as_str() == it.action) {
        return wrong("action", "this list has other actions", "该名单没有这种处理方式");
    }
    let is_code = |it: &str| it.len() == 6 && it.bytes().all(|it| it.is_ascii_digit());
    if !(it.city.is_empty() || is_code(&it.city)) {
        let chinese = "city 是六位区划代码，不写则不限地区";
        return wrong("city", "a city is six digits (GB/T 2260); none is everywhere", chinese);
    }
    let Some(number) = number(&it) else {
        let english =
            "not a number, or too short a beginning (3 digits) or a local one without area";
        return wrong("number", english, "不是号码，或前缀不足 3 位，或本地号码缺区号");
    };
    if it.priority.is_some_and(|it| it > 9) {
        return wrong("priority", "0 to 9, 9 first", "priority 取 0 到 9，9 最优先");
    }
    let known = |group: &String| views.groups().iter().any(|it| it.id.as_str() == group);
    if it.group.as_ref().is_some_and(|it| !known(it)) {
        return wrong("skill_group", "no such group", "没有这个技能组");
    }
    if !(1..=200).contains(&it.reason.trim().chars().count()) {
        return wrong("reason", "say why, in 1 to 200 characters", "请写明原因，1 到 200 字");
    }
    match it.expires {
        Some(end) if end <= now => {
            return wrong("expires", "it is over already", "有效期已过");
        }
        Some(end) if it.list == "blacklist" && end.0 - now.0 > BLACKLIST_MAX => {
            return wrong("expires", "at most 366 days", "黑名单有效期最长 366 天");
        }
        None if it.list == "blacklist" => {
            return wrong("expires", "a blacklist entry must end", "黑名单必须写有效期");
        }
        Some(_) | None => (),
    }
    Ok(hotline_store::ListDraft {
        list: it.list,
        city: it.city,
        number,
        is_prefix: it.is_prefix,
        action: it.action,
        priority: it.priority,
        group: it.group,
        reason: it.reason.trim().to_owned(),
        expires: it.expires,
    })
}

fn number(it: &ListDraft) -> Option<Pii<String>> {
    if !it.is_prefix {
        // Seven or eight digits are a local number, whose area nobody has said.
        return normal(&it.number).filter(|it| !(7..=8).contains(&it.reveal().len()));
    }
    let digits = it.number.reveal().trim();
    let is_beginning =
        (PREFIX_MIN..=20).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
    is_beginning.then(|| Pii::new(digits.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime(1_795_219_200_000);

    fn draft() -> ListDraft {
        ListDraft {
            list: "blacklist".to_owned(),
            city: String::new(),
            number: Pii::new("+86 138-0013-8000".to_owned()),
            is_prefix: false,
            action: "reject".to_owned(),
            priority: None,
            group: None,
            reason: "反复骚扰".to_owned(),
            expires: Some(WallTime(NOW.0 + 1)),
        }
    }

    #[track_caller]
    fn check(it: ListDraft, expected: Result<&str, &str>) {
        let got = checked(it, &Views::default(), NOW);
        let got = got.map(|it| it.number.reveal().clone()).map_err(|error| {
            let ListError::Invalid(field, ..) = error else { panic!("{error:?}") };
            field
        });
        assert_eq!(got.as_deref().map_err(|it| *it), expected);
    }

    #[test]
    fn a_draft_is_taken_with_its_number_as_calls_carry_it() {
        check(draft(), Ok("13800138000"));
        let prefix =
            |it: &str| ListDraft { number: Pii::new(it.to_owned()), is_prefix: true, ..draft() };
        check(prefix("170"), Ok("170"));
        for it in ["17", "+170", "abc", ""] {
            check(prefix(it), Err("number"));
        }
        for it in ["anonymous", "5551234", "1"] {
            check(ListDraft { number: Pii::new(it.to_owned()), ..draft() }, Err("number"));
        }
    }

    #[test]
    fn a_draft_that_means_nothing_is_refused_with_its_field() {
        check(ListDraft { list: "grey".to_owned(), ..draft() }, Err("list"));
        check(ListDraft { action: "prefer".to_owned(), ..draft() }, Err("action"));
        check(ListDraft { city: "南宁".to_owned(), ..draft() }, Err("city"));
        check(ListDraft { priority: Some(10), ..draft() }, Err("priority"));
        check(ListDraft { group: Some("none".to_owned()), ..draft() }, Err("skill_group"));
        check(ListDraft { reason: " ".to_owned(), ..draft() }, Err("reason"));
        check(ListDraft { expires: None, ..draft() }, Err("expires"));
        check(ListDraft { expires: Some(NOW), ..draft() }, Err("expires"));
        let far = WallTime(NOW.0 + BLACKLIST_MAX + 1);
        check(ListDraft { expires: Some(far), ..draft() }, Err("expires"));
        let vip = ListDraft { list: "vip".to_owned(), action: "prefer".to_owned(), ..draft() };
        check(ListDraft { expires: None, ..vip }, Ok("13800138000"));
    }
}
