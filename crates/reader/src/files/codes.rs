//! The documented codes of files as a warehouse, and of sorting rows: `E1101` to `E1110`.

use flow::{Code, Kind};

/// No files of that name.
pub static E1101_NO_FILES: Code = Code {
    id: "E1101",
    kind: Kind::Config,
    title: "The model's files are not there.",
    cause: "The model's `table` names no file, no folder with files and no glob that matches one, below the connection's folder. Names that begin with a dot or an underscore are not looked at.",
    remedy: "Correct the name or the connection's `path`; `outflow discover CONNECTION` lists what there is.",
};

/// A file that cannot be opened.
pub static E1102_UNREADABLE: Code = Code {
    id: "E1102",
    kind: Kind::Unreachable,
    title: "A file cannot be read.",
    cause: "It may not be read by this user, the disk or the network fails, or it was removed.",
    remedy: "Give the user that runs outflow the right to read it, then run again.",
};

/// SQL where there is no database.
pub static E1103_NEEDS_SQL: Code = Code {
    id: "E1103",
    kind: Kind::Config,
    title: "Files understand no SQL.",
    cause: "The model is `sql` or `sql_file`, or rows are asked for by a condition, and the connection is of `type: files`.",
    remedy: "Name the files with `table`. For SQL over files use a connection of `type: adbc` with DuckDB's driver: SELECT ... FROM 'folder/*.parquet'.",
};

/// Files that are not what they should be.
pub static E1104_FORMAT: Code = Code {
    id: "E1104",
    kind: Kind::Config,
    title: "It is not known what a file is, or the files differ.",
    cause: "The name ends in none of .parquet, .csv, .tsv, .jsonl, .ndjson and .json (before a .gz), the model's files are of two kinds, or a JSON file is no JSON lines.",
    remedy: "Set `format` on the connection, or name only files of one kind.",
};

/// Files that disagree about a column.
pub static E1105_DISAGREE: Code = Code {
    id: "E1105",
    kind: Kind::Config,
    title: "The files do not agree on the type of a column.",
    cause: "A column has one type in one file and another in the next, and no type holds the values of both exactly.",
    remedy: "Write the odd file anew, read the two kinds as two models, or, in JSON lines, give the column a type in the connection's `columns`.",
};

/// Files that changed.
pub static E1106_CHANGED: Code = Code {
    id: "E1106",
    kind: Kind::Failed,
    title: "A file changed while it was being read.",
    cause: "Somebody writes, replaces or removes the model's files during the run, so the rows could be of two generations.",
    remedy: "Run again; start the sync after the files are written where you can, and write them under another name first.",
};

/// A file with an unreadable content.
pub static E1107_BROKEN_FILE: Code = Code {
    id: "E1107",
    kind: Kind::Failed,
    title: "A file is damaged or not finished.",
    cause: "It ends too early, a line has too many or too few fields, a quote has no end, or the content is not what the file's name says.",
    remedy: "Write the file anew. Nothing of the unfinished read counts.",
};

/// An object store that does not answer.
pub static E1108_STORE: Code = Code {
    id: "E1108",
    kind: Kind::Unreachable,
    title: "The object store cannot be reached or fails.",
    cause: "The endpoint or region is wrong, the network is down, or the store is busy. It was tried several times.",
    remedy: "Check the connection's `url` and the `endpoint` and `region` in its `storage`; then run again.",
};

/// An object store that refuses.
pub static E1109_STORE_REFUSES: Code = Code {
    id: "E1109",
    kind: Kind::Credentials,
    title: "The object store refuses the credentials.",
    cause: "They are wrong or expired, or do not allow to list the folder and read its objects.",
    remedy: "Mend the credentials in the connection's `storage`; for S3 they need s3:ListBucket and s3:GetObject.",
};

/// No room to sort.
pub static E1110_SPOOL: Code = Code {
    id: "E1110",
    kind: Kind::Failed,
    title: "There is no room to sort the rows.",
    cause: "Rows that do not come in the order of the read are sorted in the spool folder when memory does not hold them, and it is full or cannot be written.",
    remedy: "Make room in the state folder's file system, or write the files in the order of the primary key.",
};
