//! The errors only Salesforce has; what all destinations share is in `writer::codes`.

use flow::{Code, Kind};

/// The token endpoint says no.
pub static E2100_SIGN_IN: Code = Code {
    id: "E2100",
    kind: Kind::Credentials,
    title: "Salesforce does not let outflow sign in",
    cause: "The token endpoint refused the connected app, its user, its key or its refresh token.",
    remedy: "Check the app in Salesforce Setup: for JWT bearer the user must be pre-approved and the app must have the scopes \
             `api` and `refresh_token`; for client credentials a run-as user must be set; a refresh token that was used \
             elsewhere must be made anew. Then run `outflow doctor`.",
};

/// The key cannot sign.
pub static E2101_PRIVATE_KEY: Code = Code {
    id: "E2101",
    kind: Kind::Config,
    title: "The private key cannot be used",
    cause: "`private_key` is not an RSA private key in PEM of 2048 bits or more without a passphrase.",
    remedy: "Make one with `openssl genrsa 2048`, upload its certificate to the connected app, and give the file with `${file:...}`.",
};

/// The refresh token cannot be kept.
pub static E2102_TOKEN_FILE: Code = Code {
    id: "E2102",
    kind: Kind::Config,
    title: "The file of the refresh token cannot be used",
    cause: "`token_file` cannot be read, written or locked, or holds something else. Salesforce replaces a refresh token when it is \
            used, so nothing is asked of Salesforce before the file can be written.",
    remedy: "Correct `token_file` and its folder's permissions; where its content is broken, remove it and give a new `refresh_token`.",
};

/// A Bulk job that failed as a whole.
pub static E2103_JOB_FAILED: Code = Code {
    id: "E2103",
    kind: Kind::Failed,
    title: "Salesforce gave up a Bulk job",
    cause: "Salesforce could not work on the job's data at all; its reason is in the message. No row of it was applied.",
    remedy: "Act on the message; `api: collections` sends rows without jobs.",
};

/// A Bulk job that takes too long.
pub static E2104_JOB_SLOW: Code = Code {
    id: "E2104",
    kind: Kind::Failed,
    title: "A Bulk job has not ended in time",
    cause: "Salesforce still works on the job after `job_timeout`. It is not sent again.",
    remedy: "Run again later: the job is found again and its result is taken. A busy org needs a longer `job_timeout`.",
};

/// A Bulk job was stopped by somebody else.
pub static E2105_JOB_STOPPED: Code = Code {
    id: "E2105",
    kind: Kind::Failed,
    title: "A Bulk job could not be started",
    cause: "The rows could not be uploaded, or the job was stopped before they were. No row of it was applied.",
    remedy: "Run again; the rows are sent with a new job.",
};

/// A mode that cannot be made safe here.
pub static E2106_CREATE: Code = Code {
    id: "E2106",
    kind: Kind::Config,
    title: "Records cannot be created safely by this field",
    cause: "`mode: create` needs a `match_on` field marked as unique in Salesforce. Without one, a create whose answer is lost \
            would make every record twice when it is repeated.",
    remedy: "Mark the field as an external id and unique in Salesforce Setup, or use `mode: upsert`.",
};

/// A base URL that is nobody's org.
pub static E2107_LOGIN_HOST: Code = Code {
    id: "E2107",
    kind: Kind::Config,
    title: "The address is not an org's own",
    cause: "`instance_url` is Salesforce's common login page, which has no records.",
    remedy: "Set `instance_url` to the org's My Domain as shown in Setup > My Domain, for example `https://acme.my.salesforce.com`.",
};

/// Several records where there should be one.
pub static R220_SEVERAL: Code = Code {
    id: "R220",
    kind: Kind::Row,
    title: "Several Salesforce records have the value",
    cause: "The field records are found by is not unique in Salesforce, and more than one record holds the row's value.",
    remedy: "Merge the records, or mark the field as unique in Salesforce Setup; then `outflow rejects retry`.",
};

/// Another record holds the unique value.
pub static R221_NO_PARENT: Code = Code {
    id: "R221",
    kind: Kind::Row,
    title: "The row's parent record does not exist",
    cause: "No record has the id or external id the row names as its parent.",
    remedy: "Send the parent's sync first, or correct the value; then `outflow rejects retry`.",
};

/// Codes of this destination.
pub const CODES: &[&Code] = &[
    &E2100_SIGN_IN,
    &E2101_PRIVATE_KEY,
    &E2102_TOKEN_FILE,
    &E2103_JOB_FAILED,
    &E2104_JOB_SLOW,
    &E2105_JOB_STOPPED,
    &E2106_CREATE,
    &E2107_LOGIN_HOST,
    &R220_SEVERAL,
    &R221_NO_PARENT,
];
