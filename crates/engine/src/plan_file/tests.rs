//! A plan comes back as it was written, and every change of its file is noticed.

use std::fs;

use super::*;

fn header() -> Header {
    Header {
        sync: "people".to_owned(),
        origin: "project acme".to_owned(),
        made_at: 1_800_000_000_000_000,
        config: "c".to_owned(),
        target: (Some("account".to_owned()), "contacts".to_owned(), vec!["id".to_owned()]),
        watermark: Some((i64::MIN + 1, "updated_at".to_owned(), "m".to_owned())),
        mark: None,
        whole: false,
        reached: Some(i64::MAX),
        counts: Counts { read: u64::MAX, ..Counts::default() },
        drift: false,
    }
}

fn rows(count: u128) -> Vec<PlannedRow> {
    let value = |before: Option<Value>, after: Option<&str>| Change {
        field: "zażółć".to_owned(),
        filled: before.as_ref().map(Option::is_some),
        changed: before.as_ref().map(|before: &Value| before.as_deref() != after),
        before,
        after: after.map(str::to_owned),
    };
    (0..count)
        .map(|n| PlannedRow {
            key: (n % 7 != 0).then(|| Key::from_parts(&[n.to_string(), "\u{1f}🦀".to_owned()])),
            op: ["create", "update", "invalid"][(n % 3) as usize].to_owned(),
            reason: (n % 3 != 2).then(|| "data".to_owned()),
            fingerprint: Some(Fingerprint(u128::MAX - n)),
            prior: (n % 2 == 0).then_some(Fingerprint(n)),
            code: (n % 3 == 2).then(|| "R101".to_owned()),
            field: None,
            values: vec![
                value(None, Some("a")),
                value(Some(None), Some("")),
                value(Some(Some("b".into())), None),
            ],
        })
        .collect()
}

fn write(path: &Path, rows: &[PlannedRow]) -> String {
    let mut writer = PlanWriter::new(path).unwrap();
    rows.iter().for_each(|row| writer.push(row.clone()).unwrap());
    writer.finish(&header()).unwrap()
}

fn read(path: &Path) -> Result<(PlanFile, Vec<PlannedRow>)> {
    let plan = PlanFile::open(path)?;
    let mut rows = plan.rows()?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(row);
    }
    Ok((plan, all))
}

#[test]
fn a_plan_comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.outflow");
    for count in [0, 1, 5000] {
        let digest = write(&path, &rows(count));
        let (plan, found) = read(&path).unwrap();
        assert_eq!((&plan.header, &plan.sha256), (&header(), &digest));
        let known: Vec<_> =
            rows(count).into_iter().map(|row| PlannedRow { values: Vec::new(), ..row }).collect();
        assert_eq!(found, known);
        assert_eq!(plan.rows().unwrap().next().unwrap(), known.first().cloned(), "once more");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
}

#[cfg(unix)]
#[test]
fn a_plan_holds_row_values_and_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.outflow");
    write(&path, &rows(1));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn its_parquet_part_is_parquet_for_anybody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.outflow");
    write(&path, &rows(10));
    let bytes = Bytes::from(fs::read(&path).unwrap());
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.slice(line + 1..)).unwrap();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
}

#[test]
fn a_foreign_file_a_newer_one_a_cut_one_and_any_flipped_bit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.outflow");
    write(&path, &rows(50));
    let good = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read(&path).map(drop).expect_err("it is not the plan").code().id
    };
    assert_eq!(refused(b""), "E4031");
    assert_eq!(refused(b"PAR1 and so on"), "E4031");
    assert_eq!(refused(&[b'x'; 5000]), "E4031");
    let newer = [b"outflow plan 2 ".as_slice(), &good[15..]].concat();
    assert_eq!(refused(&newer), "E4033");
    for length in (SEAL_BYTES..good.len()).step_by(97) {
        assert_eq!(refused(&good[..length]), "E4032", "cut to {length}");
    }
    assert_eq!(refused(&good[..40]), "E4032");
    for at in (0..good.len()).step_by(13) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(refused(&bytes).starts_with("E403"), "a bit of byte {at}");
    }
    assert_eq!(refused(&[good.as_slice(), b"more"].concat()), "E4032");
    fs::remove_file(&path).unwrap();
    assert_eq!(read(&path).map(drop).unwrap_err().code().id, "E4034");
}
