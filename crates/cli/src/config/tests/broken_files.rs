//! Files that are not there, cannot be read, or are not the YAML they should be.

use super::{Folder, SYNC, broken, places, shown};

#[test]
fn a_file_that_is_not_plain_yaml_is_refused_at_its_place() {
    let seen = broken(&[
        (
            "an unclosed bracket",
            &[("syncs/usage.yml", "tags: [growth]", "tags: [growth")],
            &["E0003 syncs/usage.yml:6:6"],
        ),
        (
            "a colon too many",
            &[("syncs/usage.yml", "Usage per user.", "Usage: per user.")],
            &["E0003 syncs/usage.yml:3:19"],
        ),
        ("a tab", &[("syncs/usage.yml", "  table:", "\ttable:")], &["E0003 syncs/usage.yml:8:1"]),
        (
            "wrong indentation",
            &[("syncs/usage.yml", "  table:", " table:")],
            &["E0003 syncs/usage.yml:8:2"],
        ),
        (
            "an unclosed quote",
            &[("syncs/usage.yml", "owner: growth", "owner: \"growth")],
            &["E0003 syncs/usage.yml:4:8"],
        ),
        (
            "a key written twice",
            &[("syncs/usage.yml", "tags: [growth]", "owner: x")],
            &["E0004 syncs/usage.yml:5:1"],
        ),
        (
            "a field mapped twice",
            &[("syncs/usage.yml", "  phone: {", "  plan: {")],
            &["E0004 syncs/usage.yml:23:3"],
        ),
        (
            "an anchor",
            &[("syncs/usage.yml", "tags: [growth]", "tags: &t [growth]")],
            &["E0005 syncs/usage.yml:5:7"],
        ),
        (
            "an anchor and an alias",
            &[
                ("syncs/usage.yml", "user_id", "&id user_id"),
                ("syncs/usage.yml", "firstname: first_name", "firstname: *id"),
            ],
            &["E0005 syncs/usage.yml:9:16", "E0005 syncs/usage.yml:21:14"],
        ),
        (
            "a merge key",
            &[("syncs/usage.yml", "delivery:\n", "delivery:\n  <<: { max_concurrency: 1 }\n")],
            &["E0005 syncs/usage.yml:27:3"],
        ),
        (
            "a tag",
            &[("syncs/usage.yml", "user_id", "!!str user_id")],
            &["E0005 syncs/usage.yml:9:16"],
        ),
        (
            "two documents",
            &[("syncs/usage.yml", "model:\n", "---\nmodel:\n")],
            &["E0005 syncs/usage.yml:6:1"],
        ),
        (
            "a map as key",
            &[("syncs/usage.yml", "tags: [growth]", "? { a: 1 }\n: x")],
            &["E0005 syncs/usage.yml:5:3"],
        ),
        (
            "leading zeros",
            &[("syncs/usage.yml", "firstname: first_name", "firstname: { const: 007 }")],
            &["E0007 syncs/usage.yml:21:23"],
        ),
        (
            "too many digits",
            &[(
                "syncs/usage.yml",
                "firstname: first_name",
                "firstname: { const: 123456789012345678901 }",
            )],
            &["E0007 syncs/usage.yml:21:23"],
        ),
        (
            "an empty sync file",
            &[("syncs/usage.yml", "", "# nothing\n")],
            &["E0003 syncs/usage.yml:1:1"],
        ),
        (
            "a list instead of a map",
            &[("syncs/usage.yml", "", "- version: 1\n")],
            &["E0012 syncs/usage.yml:1:1"],
        ),
    ]);
    insta::assert_snapshot!(seen);
}

#[test]
fn a_folder_without_a_project_says_how_to_get_one() {
    let folder = Folder::empty();
    let report = folder.report();
    assert_eq!(places(&report), ["E0001"]);
    let root = folder.root().display().to_string();
    insta::assert_snapshot!(
        shown(&report).replace(&root, "DIR").split_whitespace().collect::<Vec<_>>().join(" ")
    );
    folder.write("outflow.yaml", "");
    assert!(shown(&folder.report()).contains("rename outflow.yaml to outflow.yml"));
}

#[test]
fn a_file_that_is_not_text_or_too_large_is_not_read() {
    let folder = Folder::new();
    std::fs::write(folder.root().join("syncs/b.yml"), b"version: 1\nsync: \xff\n").expect("a file");
    folder.write("syncs/c.yml", &" ".repeat((1 << 20) + 1));
    let text = shown(&folder.report());
    assert!(text.contains("syncs/b.yml cannot be read: it is not UTF-8 text (line 2)"), "{text}");
    assert!(text.contains("syncs/c.yml cannot be read: it is larger than 1 MiB"), "{text}");
}

#[test]
fn a_link_that_leads_nowhere_is_a_missing_sync() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("nowhere.yml", folder.root().join("syncs/b.yml")).unwrap();
    assert!(shown(&folder.report()).contains("syncs/b.yml cannot be read: there is no such file"));
}

#[test]
fn depth_is_limited() {
    let folder = Folder::new();
    folder.write("syncs/deep.yml", &"[".repeat(200));
    assert_eq!(places(&folder.report()), ["E0006 syncs/deep.yml:1:33"]);
}

#[test]
fn a_broken_file_hides_no_problem_of_another() {
    let folder = Folder::new();
    folder.edit("outflow.yml", "project: acme", "project: [");
    folder.edit("syncs/usage.yml", "owner:", "ownr:");
    folder.write("syncs/b.yml", &SYNC.replace("mode: upsert", "mode: upsrt"));
    let found = places(&folder.report());
    assert_eq!(
        found.iter().map(|place| &place[..5]).collect::<Vec<_>>(),
        ["E0003", "E0013", "E0010"]
    );
}
