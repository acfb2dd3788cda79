//! What the simulation found, each in the shortest history that shows it.

use engine::RunOptions;
use flow::{Error, Key, Outcome};

use crate::world::{Behaviour, DOWN, Nobody, Person, REFUSED, World, people};

#[tokio::test(start_paused = true)]
async fn a_mapping_that_is_changed_and_changed_back_leaves_no_row_behind() {
    // D1: the second mapping reached only some rows; the first must look at every row again.
    let mut world = World::new(people(0..50));
    let first = world.sync.mappings.clone();
    world.run().await.unwrap();
    let other = r#"{"name": {"template": "{{ name }}!"}}"#;
    world.sync.mappings = serde_json::from_str(other).unwrap();
    let some = RunOptions { rows_max: Some(20), ..world.options() };
    engine::run(&world.sync, &world.ports, some, &Nobody).await.unwrap();
    world.sync.mappings = first;
    world.run().await.unwrap();
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_refused_row_that_left_and_came_back_is_tried_again() {
    // D9: its reject was closed when it left; holding it back would let it vanish without a trace.
    let world = World::new(people(0..3));
    world.script(|_| {
        Some(Behaviour::Rows(Box::new(|email| {
            let message = "no".to_owned();
            let refused = Outcome::Rejected { code: &REFUSED, message, field: None };
            (email == "user1@example.com").then_some(refused)
        })))
    });
    world.run().await.unwrap();
    let mut row = world.source.rows.lock().unwrap().remove(1);
    let gone = vec![Key::from_parts(&["1"])];
    engine::retry(&world.sync, &world.ports, (gone, world.options()), &Nobody).await.unwrap();
    *world.destination.script.lock().unwrap() = None;
    row.updated_at = 50_000_000;
    world.source.rows.lock().unwrap().push(row);
    world.run().await.unwrap();
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_rename_nobody_heard_of_does_not_take_another_rows_record_along() {
    // D1: row 0 was renamed to `x` and the answer was lost. Then it moves on to `y`, and a new row is `x`.
    let world = World::new(people(0..2));
    world.run().await.unwrap();
    let rename = |email: &str, at: i64| {
        let mut rows = world.source.rows.lock().unwrap();
        (rows[0].email, rows[0].updated_at) = (email.to_owned(), at);
    };
    rename("x", 50_000_000);
    world.script(|_| Some(Behaviour::AppliesAndFails(Error::new(&DOWN, "reset").ambiguous())));
    world.run().await.unwrap_err();
    *world.destination.script.lock().unwrap() = None;
    rename("y", 60_000_000);
    let (email, name) = ("x".to_owned(), "new".to_owned());
    let new = Person { id: 7, email, name, updated_at: 60_000_000 };
    world.source.rows.lock().unwrap().push(new);
    world.run().await.unwrap();
    world.converged();
}
