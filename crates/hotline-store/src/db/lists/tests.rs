//! The life of an entry.

use std::time::Duration;

use hotline_base::AgentNo;
use tempfile::TempDir;

use super::*;
use crate::{
    DatabaseConfig, Entry, Kind, LOADER, Position,
    fixture::{EPOCH, listed},
};

const NOW: WallTime = WallTime(EPOCH);

async fn database(dir: &TempDir) -> Database {
    let config = DatabaseConfig {
        busy_max: Duration::from_millis(50),
        ..DatabaseConfig::new(dir.path().join("hotline.db"))
    };
    let database = Database::new(&config);
    database.prepare().await.unwrap();
    database
}

fn draft(number: &str) -> ListDraft {
    ListDraft {
        list: "blacklist".to_owned(),
        city: String::new(),
        number: Pii::new(number.to_owned()),
        is_prefix: false,
        action: "reject".to_owned(),
        priority: None,
        group: None,
        reason: "反复骚扰".to_owned(),
        expires: Some(WallTime(EPOCH + 1000)),
    }
}

async fn in_force(database: &Database, at: i64) -> Vec<u64> {
    let rows = database.lists_in_force(WallTime(at)).await.unwrap();
    rows.into_iter().map(|it| it.id).collect()
}

#[tokio::test]
async fn an_entry_is_in_force_from_its_approval_by_another_to_its_end() {
    let dir = TempDir::new().unwrap();
    let it = database(&dir).await;
    let id = it.list_draft(&draft("13800138000"), "platform/张三", NOW).await.unwrap();
    assert!(in_force(&it, EPOCH).await.is_empty());
    let own = it.list_approve(id, "platform/张三", NOW).await.unwrap();
    assert_eq!(own, ListChange::SamePerson);
    assert!(in_force(&it, EPOCH).await.is_empty());
    let other = it.list_approve(id, "platform/李四", NOW).await.unwrap();
    assert_eq!(other, ListChange::Done);
    assert_eq!(in_force(&it, EPOCH).await, [id]);
    assert!(in_force(&it, EPOCH + 1000).await.is_empty(), "it is over");
    let again = it.list_approve(id, "platform/王五", NOW).await.unwrap();
    assert_eq!(again, ListChange::NotADraft);
    // A change wants a new approval, by somebody else than who made it.
    let changed = it.list_change(id, &draft("13900139000"), "platform/李四", NOW).await.unwrap();
    assert_eq!(changed, ListChange::Done);
    assert!(in_force(&it, EPOCH).await.is_empty());
    let own = it.list_approve(id, "platform/李四", NOW).await.unwrap();
    assert_eq!(own, ListChange::SamePerson);
    it.list_approve(id, "platform/张三", NOW).await.unwrap();
    assert_eq!(in_force(&it, EPOCH).await, [id]);
    assert_eq!(it.list_remove(id, "platform/张三", NOW).await.unwrap(), ListChange::Done);
    assert!(in_force(&it, EPOCH).await.is_empty());
    for gone in [id, 99] {
        let missing = ListChange::Missing;
        assert_eq!(it.list_remove(gone, "x", NOW).await.unwrap(), missing);
        assert_eq!(it.list_approve(gone, "x", NOW).await.unwrap(), missing);
        assert_eq!(it.list_change(gone, &draft("1"), "x", NOW).await.unwrap(), missing);
    }
    let audit = it.list_audit(id).await.unwrap();
    let steps: Vec<_> = audit.iter().map(|it| (it.what.as_str(), it.who.as_str())).collect();
    assert_eq!(
        steps,
        [
            ("drafted", "platform/张三"),
            ("approved", "platform/李四"),
            ("changed", "platform/李四"),
            ("approved", "platform/张三"),
            ("removed", "platform/张三"),
        ]
    );
    assert!(audit.iter().all(|it| it.detail.contains("反复骚扰") && !it.detail.contains("138")));
}

#[tokio::test]
async fn an_entry_whose_end_is_past_is_shown_and_found_as_expired() {
    let dir = TempDir::new().unwrap();
    let it = database(&dir).await;
    let id = it.list_draft(&draft("13800138000"), "a", NOW).await.unwrap();
    it.list_approve(id, "b", NOW).await.unwrap();
    let draft_only = it.list_draft(&draft("13900139000"), "a", NOW).await.unwrap();
    for (at, state) in [(EPOCH + 999, "approved"), (EPOCH + 1000, "expired")] {
        let now = WallTime(at);
        let entry = it.list_entry(id, &Sight::All, now).await.unwrap().unwrap();
        assert_eq!(entry.state, state);
        for asked in ["approved", "expired"] {
            let query = ListQuery { state: Some(asked.to_owned()), n_max: 9, ..Default::default() };
            let page = it.list_entries(&query, &Sight::All, now).await.unwrap();
            assert_eq!(page.items.len(), usize::from(asked == state), "{asked} at {at}");
            assert!(page.items.iter().all(|it| it.state == state));
        }
        let entry = it.list_entry(draft_only, &Sight::All, now).await.unwrap().unwrap();
        assert_eq!(entry.state, "draft", "nobody approved it");
    }
}

#[tokio::test]
async fn entries_are_found_by_page_and_agents_see_no_numbers() {
    let dir = TempDir::new().unwrap();
    let it = database(&dir).await;
    for n in 0..5 {
        it.list_draft(&draft(&format!("1380013800{n}")), "a", NOW).await.unwrap();
    }
    it.list_remove(3, "a", NOW).await.unwrap();
    let mut seen = Vec::new();
    let mut query = ListQuery { n_max: 2, ..ListQuery::default() };
    loop {
        let page = it.list_entries(&query, &Sight::All, NOW).await.unwrap();
        seen.extend(page.items.into_iter().map(|it| it.id));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["5", "4", "2", "1"]);
    let number = Some(Pii::new("13800138001".to_owned()));
    let query = ListQuery { number, n_max: 10, ..ListQuery::default() };
    let page = it.list_entries(&query, &Sight::Agent(AgentNo::new("1001")), NOW).await.unwrap();
    let numbers: Vec<_> = page.items.iter().map(|it| it.number.as_str()).collect();
    assert_eq!(numbers, ["138****8001"]);
    let bad = ListQuery { after: Some("x".to_owned()), n_max: 10, ..ListQuery::default() };
    let refused = it.list_entries(&bad, &Sight::All, NOW).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)));
}

#[tokio::test]
async fn a_hit_is_counted_once_for_each_call_however_often_its_record_is_loaded() {
    let dir = TempDir::new().unwrap();
    let it = database(&dir).await;
    let id = it.list_draft(&draft("13800138000"), "a", NOW).await.unwrap();
    let at = |offset| Position { segment: 1, offset };
    for (offset, record) in [
        (0, listed(1, 1, id)),
        (10, listed(1, 2, id)),
        (20, listed(2, 1, id)),
        (30, listed(3, 1, 77)),
    ] {
        let payload = borsh::to_vec(&record).unwrap();
        let entry = Entry { at: at(offset), idx: 0, kind: Kind::CallRecord, payload };
        let items = [(entry.at, crate::db::Item::read(entry))];
        it.load(LOADER, &items, at(offset + 10), &[], NOW).await.unwrap();
    }
    let entry = it.list_entry(id, &Sight::All, NOW).await.unwrap().unwrap();
    assert_eq!(entry.n_hits, 2);
    assert_eq!(entry.last_hit, Some(Time(WallTime(EPOCH + 2010))));
}
