//! What a plan says about each field: from what to what where it is known, and that it is not known where it is not.

use engine::{Guard, Guards, Plan, PlanOptions, Remember};

use crate::world::{Behaviour, DOWN, Nobody, World, people};
use flow::Error;

async fn plan(world: &World) -> Plan {
    engine::plan(&world.sync, &world.ports, &PlanOptions::default()).await.unwrap()
}

fn world(remember: Remember) -> World {
    let mut world = World::new(people(0..40));
    world.sync.delivery.remember = remember;
    world.sync.mappings =
        serde_json::from_str(r#"{"name": {"from": "name", "transform": ["null_if_empty"]}}"#)
            .unwrap();
    world
}

fn change(world: &World, rows: std::ops::Range<usize>, name: &str) {
    for row in &mut world.source.rows.lock().unwrap()[rows] {
        row.name = name.to_owned();
        row.updated_at += 900_000_000;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_from_what_to_what_as_far_as_it_is_remembered() {
    for remember in [Remember::Nothing, Remember::Fields, Remember::Values] {
        let world = world(remember);
        world.run().await.unwrap();
        change(&world, 5..8, "new");
        let planned = plan(&world).await;
        assert_eq!(
            (planned.update, planned.unknown),
            (3, u64::from(remember == Remember::Nothing) * 3)
        );
        let sample = &planned.samples[0];
        let name = sample.fields.iter().find(|change| change.field == "name").unwrap();
        let email = sample.fields.iter().find(|change| change.field == "email").unwrap();
        assert_eq!(name.after.as_deref(), Some("new"));
        match remember {
            Remember::Nothing => {
                assert_eq!((name.changed, &name.before, email.changed), (None, &None, None));
                assert_eq!(planned.fields, []);
            }
            _ => {
                assert_eq!((name.changed, email.changed), (Some(true), Some(false)));
                assert_eq!(planned.fields, [("name".to_owned(), 3)]);
            }
        }
        let was = (remember == Remember::Values).then(|| Some("name 5".to_owned()));
        assert_eq!(name.before, was);
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_heard_of_is_not_taken_for_known() {
    // D4: the ledger does not know what the record holds, so neither does the plan.
    let world = world(Remember::Values);
    world.run().await.unwrap();
    change(&world, 5..6, "lost");
    world.script(|_| Some(Behaviour::AppliesAndFails(Error::new(&DOWN, "reset").ambiguous())));
    world.run().await.unwrap_err();
    *world.destination.script.lock().unwrap() = None;
    let planned = plan(&world).await;
    assert_eq!((planned.update, planned.unknown), (1, 1));
    world.run().await.unwrap();
    world.converged();
    change(&world, 5..6, "known again");
    let planned = plan(&world).await;
    assert_eq!(
        planned.samples[0].fields.iter().find(|c| c.field == "name").unwrap().before,
        Some(Some("lost".to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_would_empty_too_many_values_sends_nothing_and_says_which_field() {
    let mut world = world(Remember::Nothing);
    world.sync.guards = Guards { max_null_out: Some(0.1), ..Guards::default() };
    world.run().await.unwrap();
    change(&world, 10..19, "");
    let calls = world.calls();
    let failure = world.run().await.unwrap_err();
    assert_eq!(failure.error.code().id, "G005", "{}", failure.error);
    assert_eq!(world.calls(), calls);
    let report = failure.report.unwrap();
    let ruling = report.rulings.iter().find(|ruling| ruling.guard == Guard::MaxNullOut).unwrap();
    assert_eq!((ruling.count, ruling.of), (9, 80), "9 names of 40 names and 40 addresses");
    assert_eq!((ruling.common[0].name.as_str(), ruling.common[0].rows), ("name", 9));
    // Eight are fewer than one in ten.
    change(&world, 18..19, "back");
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.updated, 9);
    // Empty already: nothing is emptied by sending them again.
    let all = engine::BackfillScope::Where("true".to_owned());
    engine::backfill(&world.sync, &world.ports, (all, world.options()), &Nobody).await.unwrap();
    world.sync.guards.max_null_out = Some(0.0);
    change(&world, 0..1, "other");
    world.run().await.unwrap();
}
