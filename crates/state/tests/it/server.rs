//! What only a state on a server can meet: other programs in its schema, edits, cut connections, refused logins.

use flow::{Claim, KeyOrder, Kind, LedgerStream, PartOrder, Shard, Store, Work};
use state::{Postgres, PostgresOptions, State};
use support::Database;

use crate::fixture::*;

fn database() -> Database {
    let Place::Postgres(database) = Place::postgres() else { unreachable!("it is one") };
    database
}

async fn refusal(url: &str, project: &str) -> flow::Error {
    let url = flow::Secret::new(url);
    let at = link::At { url: &url, tls: None, ca_file: None };
    let options = PostgresOptions { at, schema: "outflow_state", lease: None };
    match Postgres::open(&options, project).await {
        Ok(_) => panic!("the state was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_schema_that_is_not_this_projects_is_refused_and_left_alone() {
    // S4
    let database = database();
    database.execute("CREATE SCHEMA outflow_state; CREATE TABLE outflow_state.mine (a int)").await;
    assert_eq!(refusal(&database.url, PROJECT).await.code().id, "E3044");
    database.execute("DROP TABLE outflow_state.mine").await;
    drop(open_in(&database.url).await.unwrap());
    assert_eq!(refusal(&database.url, "another").await.code().id, "E3006");
    drop(open_in(&database.url).await.unwrap());
    database.execute("UPDATE outflow_state.meta SET value = '99' WHERE name = 'version'").await;
    assert_eq!(refusal(&database.url, PROJECT).await.code().id, "E3045");
}

#[tokio::test]
async fn who_may_not_in_is_told_so_without_a_secret() {
    // X1
    let database = database();
    database.execute("CREATE ROLE writer_of_nothing LOGIN PASSWORD 'hunter2'").await;
    let may_not = refusal(&database.url_as("writer_of_nothing", "hunter2"), PROJECT).await;
    assert_eq!((may_not.code().id, may_not.kind()), ("E3043", Kind::Credentials));
    let (head, _) = database.url.rsplit_once('/').unwrap();
    let nowhere = refusal(&format!("{head}/no_such_database"), PROJECT).await;
    assert_eq!(nowhere.code().id, "E3041", "{nowhere}");
    let nobody = refusal("postgres://me:hunter2@127.0.0.1:1/x", PROJECT).await;
    assert_eq!((nobody.code().id, nobody.kind()), ("E3040", Kind::Unreachable));
    for error in [may_not, nowhere, nobody] {
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn many_may_make_a_state_at_once() {
    let database = database();
    let opening = (0..6).map(|_| open_in(&database.url));
    for opened in futures::future::join_all(opening).await {
        opened.unwrap();
    }
}

#[tokio::test]
async fn an_edited_row_is_noticed_and_the_sync_can_be_reset() {
    // S4
    for (sql, damaged) in [
        ("UPDATE outflow_state.ledger SET remote_id = 'x' WHERE changed % 2 = 0", "ledger"),
        ("UPDATE outflow_state.ledger SET acknowledged = rejected", "ledger"),
        ("UPDATE outflow_state.watermarks SET watermark = watermark + 1", "watermarks"),
        ("UPDATE outflow_state.marks SET mark = NULL", "marks"),
    ] {
        let database = database();
        let store = open_in(&database.url).await.unwrap();
        let lease = begin(&store, "r1").await;
        let mut next = commit("r1");
        next.ledger = changes(0..50, 1);
        next.watermark = Some(watermark(AT));
        next.mark = Some(mark("here"));
        store.commit(&lease, next).await.unwrap();
        drop(lease);
        database.execute(sql).await;
        let lease = store.acquire(SYNC, AT).await.unwrap();
        let seen = match damaged {
            "ledger" => store.lookup(SYNC, &keys(0..50)).await.map(drop),
            _ => store.put_run(&lease, &run("r2", SYNC, flow::RunStatus::Running)).await,
        };
        assert_eq!(seen.unwrap_err().code().id, "E3007", "{sql}");
        store.reset(&lease).await.unwrap();
        drop(lease);
        begin(&store, "r3").await;
        assert_eq!(store.lookup(SYNC, &keys(0..1)).await.unwrap(), [None]);
    }
}

#[tokio::test]
async fn cut_connections_are_replaced_and_the_lease_goes_on() {
    let database = database();
    let store = open_in(&database.url).await.unwrap();
    let lease = begin(&store, "r1").await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid()";
    database.execute(cut).await;
    store.confirm_lease(&lease).await.unwrap();
    assert!(store.is_certain(&lease));
    store.commit(&lease, commit("r1")).await.unwrap();
    assert_eq!(store.run("r1").await.unwrap().unwrap().id, "r1");
}

#[tokio::test]
async fn a_superseded_owner_is_told_before_it_sends() {
    // S2
    let place = Place::postgres();
    let store = place.open().await;
    let late = begin(&*store, "r1").await;
    place.free_lease().await;
    let second = place.open().await;
    let _newest = begin(&*second, "r2").await;
    let refused = store.confirm_lease(&late).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code().id), (Kind::Lease, "E3011"));
    assert!(!store.is_certain(&late) && !store.is_certain(&late.leave()));
}

#[tokio::test]
async fn the_ledger_streams_in_the_order_it_was_brought_into() {
    let place = Place::postgres();
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut next = commit("r1");
    next.ledger = changes(0..20_000, 1);
    store.commit(&lease, next).await.unwrap();
    let order = KeyOrder::by([PartOrder::Integer]);
    assert!(store.stream(SYNC, &order).await.unwrap().is_none());
    store.order_keys(&lease, &order).await.unwrap();
    let mut stream: Box<dyn LedgerStream> = store.stream(SYNC, &order).await.unwrap().unwrap();
    // What comes later is not in it.
    let mut later = commit("r1");
    later.ledger = changes(20_000..20_010, 1);
    store.commit(&lease, later).await.unwrap();
    let mut found = Vec::new();
    while let Some(page) = stream.next().await.unwrap() {
        found.extend((0..page.len()).map(|row| order.decode(page.key(row)).unwrap()));
    }
    assert_eq!(found, keys(0..20_000), "by value, not by text");
    assert_eq!(store.lookup(SYNC, &[key(19_999)]).await.unwrap(), [Some(entry(19_999, 1))]);
}

fn work() -> Work {
    Work { spec: "run".to_owned(), shards: 3, only: None, begun: None }
}

async fn claimed(store: &dyn State, work: &Work) -> (flow::Lease, Shard, i64) {
    match store.claim(SYNC, work, AT).await.unwrap() {
        Claim::Ours(lease, shard, number) => (lease, shard, number),
        other => panic!("{other:?}"),
    }
}

async fn shard_run(store: &dyn State, lease: &flow::Lease, id: &str, reached: i64) {
    store.put_run(lease, &run(id, SYNC, flow::RunStatus::Running)).await.unwrap();
    let mut next = commit(id);
    next.watermark = Some(watermark(reached));
    store.commit(lease, next).await.unwrap();
    store.put_run(lease, &run(id, SYNC, flow::RunStatus::Ok)).await.unwrap();
}

#[tokio::test]
async fn every_shard_has_one_owner_and_the_watermark_moves_with_the_last() {
    // S2, D2, D3
    let place = Place::postgres();
    let (store, other) = (place.open().await, place.open().await);
    let (first, a, number) = claimed(&*store, &work()).await;
    let (second, b, _) = claimed(&*other, &work()).await;
    let third = Work { only: Some(2), ..work() };
    let (third, c, _) = claimed(&*store, &third).await;
    assert_eq!([a.number, b.number, c.number], [0, 1, 2]);
    assert!(matches!(other.claim(SYNC, &work(), AT).await.unwrap(), Claim::Busy(_)));
    assert_eq!(other.acquire(SYNC, AT).await.unwrap_err().code().id, "E3010");
    let another = Work { spec: "another".to_owned(), ..work() };
    assert_eq!(other.claim(SYNC, &another, AT).await.unwrap_err().code().id, "E3052");
    for (lease, id, reached) in [(&first, "a", 30), (&second, "b", 10), (&third, "c", 20)] {
        shard_run(&*store, lease, id, reached).await;
        assert_eq!(store.watermark(SYNC).await.unwrap(), None);
        let last = store.end_shard(lease, id, AT).await.unwrap();
        assert_eq!(last, id == "c");
    }
    assert_eq!(store.watermark(SYNC).await.unwrap(), Some(watermark(10)), "the least of them");
    let mine = Work { begun: Some(number), ..work() };
    assert!(matches!(store.claim(SYNC, &mine, AT).await.unwrap(), Claim::Done));
    drop((first, second, third));
    store.acquire(SYNC, AT).await.unwrap();
}

#[tokio::test]
async fn the_shard_of_a_lost_worker_is_taken_by_another_and_its_late_write_refused() {
    // S2, D4
    let place = Place::postgres();
    let (store, other) = (place.open().await, place.open().await);
    let (late, shard, number) = claimed(&*store, &Work { only: Some(1), ..work() }).await;
    store.put_run(&late, &run("a", SYNC, flow::RunStatus::Running)).await.unwrap();
    place.free_lease().await;
    let again = Work { only: Some(1), begun: Some(number), ..work() };
    let (newer, same, _) = claimed(&*other, &again).await;
    assert_eq!(shard, same);
    assert_eq!(store.commit(&late, commit("a")).await.unwrap_err().kind(), Kind::Lease);
    assert_eq!(store.end_shard(&late, "a", AT).await.unwrap_err().kind(), Kind::Lease);
    assert_eq!(other.unheard_at(SYNC).await.unwrap(), Some(AT), "its calls were left unheard");
    let crashed = other.run("a").await.unwrap().unwrap();
    assert_eq!(crashed.status, flow::RunStatus::Crashed);
    shard_run(&*other, &newer, "b", 5).await;
    assert!(!other.end_shard(&newer, "b", AT).await.unwrap());
    drop((late, newer));
    // An ordinary run may do the rest once nobody has part of it.
    let lease = begin(&*store, "c").await;
    assert!(matches!(other.claim(SYNC, &again, AT).await.unwrap_err().kind(), Kind::Lease));
    drop(lease);
    assert!(matches!(other.claim(SYNC, &again, AT).await.unwrap(), Claim::Done));
}
