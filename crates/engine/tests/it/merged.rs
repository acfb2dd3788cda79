//! A complete read in key order is merged with the ledger; a read in another order is not trusted.

use flow::{Changes, RunStatus};

use crate::world::remove::delete;
use crate::world::{World, people};

#[tokio::test(start_paused = true)]
async fn rows_that_are_as_they_were_are_not_looked_up() {
    let mut world = World::new(people(0..100));
    world.change_model(|model| model.changes = Changes::Snapshot);
    world.run().await.unwrap();
    let before = world.store.memory().looked_up;
    assert_eq!(before, 0, "nor are rows that are new");
    for row in &mut world.source.rows.lock().unwrap()[40..45] {
        row.name.push('!');
    }
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.unchanged, report.run.counts.updated), (95, 5));
    assert_eq!(world.store.memory().looked_up, 5);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_read_that_goes_back_in_its_order_finds_every_change_and_removes_nothing() {
    // D8, R1: what a merge would take for missing rows comes later.
    let world = World::mirror(people(0..100), delete());
    world.run().await.unwrap();
    let ids: Vec<i64> = (0..8).collect();
    world.leave(&[50]);
    {
        // The source reads in the order of the last change, which now is not that of the key.
        let mut rows = world.source.rows.lock().unwrap();
        for row in rows.iter_mut().filter(|row| ids.contains(&row.id)) {
            row.updated_at += 1_000_000_000;
            row.name = format!("new name {}", row.id);
        }
    }
    let report = world.run().await.unwrap();
    let counts = report.run.counts;
    assert_eq!((counts.unchanged, counts.updated, counts.gone, counts.removed), (91, 8, 0, 0));
    assert_eq!(report.run.status, RunStatus::Ok);
    assert!(report.findings.iter().any(|finding| finding.code.id == "E4050"));
    assert_eq!(world.destination.remote().records.len(), 100);
    // Once the order is right again, the row that left is found.
    world.source.rows.lock().unwrap().iter_mut().for_each(|row| row.updated_at = row.id);
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.removed, 1);
    world.converged();
}
