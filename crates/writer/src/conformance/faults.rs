//! Everything the language of faults can say: what is unclear is ambiguous, what is refused changes nothing, and no answer
//! names a wrong row.

use flow::{Attribution, Error, Kind, Outcome, Retry};

use super::bench::{Bench, Rows, is_landed, open};
use super::{Subject, Told};

/// Runs every case on one destination.
pub(super) async fn run(subject: &Subject<'_>) -> Vec<(&'static str, Told)> {
    unclear_answers_are_ambiguous_and_repeatable(&Bench::start(subject).await).await;
    credentials_that_end_change_nothing(&Bench::start(subject).await).await;
    a_used_up_quota_is_waited_for(&Bench::start(subject).await).await;
    slow_answers_are_answers(&Bench::start(subject).await).await;
    let start = || Bench::start(subject);
    vec![
        ("hang", an_answer_that_never_comes_is_unclear(subject).await),
        ("bent answers", bent_answers_name_no_wrong_row(&start().await).await),
        ("reject-row, poison-row", a_scripted_row_is_refused_alone(&start().await).await),
    ]
}

/// D4: what may have been applied says so, and the same call made again makes no second record.
async fn unclear_answers_are_ambiguous_and_repeatable(bench: &Bench) {
    for rule in [
        "do=apply-then-reset",
        "do=apply-then-status:500",
        "do=status:502;body=html",
        "do=status:503;body=empty",
        "do=status:500;body=huge:20",
        "do=truncate",
        "do=half-body",
        "do=reset",
        "do=status:500;body=text",
        "do=status:500;body=gzip:20",
    ] {
        let rows = bench.rows(bench.few(), rule);
        bench.fault(rule).await;
        let error = bench.write(&rows).await.expect_err("unclear");
        says_it_is_unclear(bench, &error, rule).await;
        bench.lands(&rows).await;
        assert_eq!(bench.held().await.len(), rows.len(), "{}: {rule}", bench.name);
    }
}

/// A job has steps before its rows are sent, and what fails there is clear.
async fn says_it_is_unclear(bench: &Bench, error: &Error, rule: &str) {
    let there = bench.held().await.into_values().flatten().any(|text| text == rule);
    let clear = bench.knows_only_jobs() && !there;
    assert!(error.is_ambiguous() || clear, "{}: {rule}: {error:?}", bench.name);
    assert_ne!(error.retry(), Retry::Never, "{}: {rule}: {error:?}", bench.name);
}

/// Credentials that are refused between two calls: nothing is changed, and the next good ones go on.
async fn credentials_that_end_change_nothing(bench: &Bench) {
    let rows = bench.rows(bench.few(), "text");
    bench.fault("do=unauthorized;times=2").await;
    let error = bench.destination.describe(&bench.object).await.expect_err("refused");
    bench.shows_no_secret(&error);
    assert_eq!(error.kind(), Kind::Credentials, "{}: {error:?}", bench.name);
    let refused = async |rows: &Rows| {
        let error = bench.write(rows).await.expect_err("refused");
        let found = (error.kind(), error.is_ambiguous());
        assert_eq!(found, (Kind::Credentials, false), "{}: {error:?}", bench.name);
    };
    refused(&rows).await;
    assert!(bench.held().await.is_empty(), "{}", bench.name);
    bench.lands(&rows).await;
    bench.fault("do=unauthorized").await;
    let changed = bench.rows(bench.few(), "changed");
    refused(&changed).await;
    let held = bench.held().await;
    assert!(held.values().all(|text| text.as_deref() == Some("text")), "{}", bench.name);
    bench.lands(&changed).await;
    assert_eq!(bench.held().await.len(), rows.len(), "{}", bench.name);
}

/// D6: whatever the answer leaves out, repeats or reorders.
async fn bent_answers_name_no_wrong_row(bench: &Bench) -> Told {
    let rows = bench.rows(bench.rows_max().min(10), "text");
    if rows.len() < 2 {
        return Err("a call has one row");
    }
    if bench.knows_only_jobs() {
        return Err("a job's answer is no call's; its own tests bend its results");
    }
    if bench.limits.attribution == Attribution::WholeCall {
        return Err("an answer names no row");
    }
    bench.lands(&rows).await;
    let unknown = async |rule: &str| {
        bench.fault(rule).await;
        let receipt = bench.write(&rows).await.expect("an answer");
        let unknown = |outcome: &&Outcome| matches!(outcome, Outcome::Unknown { .. });
        let count = receipt.outcomes.iter().filter(unknown).count();
        let landed = receipt.outcomes.iter().filter(|outcome| is_landed(outcome)).count();
        assert_eq!(count + landed, rows.len(), "{}: {rule}", bench.name);
        count
    };
    // Where answers have nothing but their place, a list of another length says nothing about any row.
    let by_place = bench.limits.attribution == Attribution::Position;
    let of = |bent: usize| if by_place { rows.len() } else { bent };
    assert_eq!(unknown("do=reorder").await, 0, "{}", bench.name);
    assert_eq!(unknown("do=drop-rows:3").await, of(3), "{}", bench.name);
    assert_eq!(unknown("do=empty-result:200").await, rows.len(), "{}", bench.name);
    // A row that is named twice may be believed or not, but no other row is touched by it.
    assert!(unknown("do=duplicate-rows:2").await <= of(2), "{}", bench.name);
    Ok(())
}

/// A call that is one too many was not carried out, and is made again later.
async fn a_used_up_quota_is_waited_for(bench: &Bench) {
    let rows = bench.rows(bench.few(), "text");
    for rule in ["do=status:429;retry-after=1", "do=status:429", "do=status:429;retry-after=soon"] {
        bench.fault(rule).await;
        match bench.write(&rows).await {
            Ok(receipt) => {
                let later = |outcome: &Outcome| matches!(outcome, Outcome::Retry { .. });
                assert!(receipt.outcomes.iter().all(later), "{}: {rule}: {receipt:?}", bench.name);
            }
            Err(error) => {
                assert!(!error.is_ambiguous(), "{}: {rule}: {error:?}", bench.name);
                assert_ne!(error.retry(), Retry::Never, "{}: {rule}: {error:?}", bench.name);
            }
        }
        assert!(bench.held().await.is_empty(), "{}: {rule}", bench.name);
    }
    bench.lands(&rows).await;
}

async fn slow_answers_are_answers(bench: &Bench) {
    let rows = bench.rows(bench.few(), "text");
    for rule in ["do=delay:300", "do=late-apply:300", "do=slow-body:2000"] {
        bench.fault(rule).await;
        bench.lands(&rows).await;
        assert_eq!(bench.held().await.len(), rows.len(), "{}: {rule}", bench.name);
    }
}

async fn an_answer_that_never_comes_is_unclear(subject: &Subject<'_>) -> Told {
    if !subject.sets_its_timeout() {
        return Err("its longest time for an answer cannot be set");
    }
    let bench = Bench::start(subject).await;
    let hurried = open(subject, &bench.server.url(), "1s").expect("its options are complete");
    hurried.describe(&bench.object).await.expect("an answer in time");
    let rows = bench.rows(bench.few(), "text");
    bench.fault("do=hang").await;
    let error: Error =
        hurried.write(&bench.batch(&bench.text.name, &rows)).await.expect_err("it takes too long");
    bench.shows_no_secret(&error);
    says_it_is_unclear(&bench, &error, "do=hang").await;
    bench.lands(&rows).await;
    assert_eq!(bench.held().await.len(), rows.len(), "{}", bench.name);
    Ok(())
}

/// One row is refused by name, and then takes its whole call with it.
async fn a_scripted_row_is_refused_alone(bench: &Bench) -> Told {
    if bench.limits.attribution == Attribution::WholeCall {
        return Err("an answer names no row");
    }
    let rows = bench.rows(bench.few(), "text");
    let named = format!("{}={}", bench.match_on.name, rows[0].0);
    bench.fault(&format!("do=reject-row:{named}")).await;
    let receipt = bench.write(&rows).await.expect("an answer");
    let refused = |outcome: &Outcome| matches!(outcome, Outcome::Rejected { .. });
    assert!(refused(&receipt.outcomes[0]), "{}: {receipt:?}", bench.name);
    assert!(receipt.outcomes[1..].iter().all(is_landed), "{}: {receipt:?}", bench.name);
    assert_eq!(bench.held().await.len(), rows.len() - 1, "{}", bench.name);
    bench.forget_faults().await;
    bench.fault(&format!("do=poison-row:{named}")).await;
    match bench.write(&rows).await {
        Err(error) => assert_eq!(error.kind(), Kind::Poison, "{}: {error:?}", bench.name),
        // A job's rows do not take each other along.
        Ok(receipt) => assert!(
            refused(&receipt.outcomes[0]) || bench.knows_only_jobs(),
            "{}: {receipt:?}",
            bench.name
        ),
    }
    bench.forget_faults().await;
    bench.lands(&rows).await;
    assert_eq!(bench.held().await.len(), rows.len(), "{}", bench.name);
    Ok(())
}
