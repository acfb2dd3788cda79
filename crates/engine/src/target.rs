//! Holds that what the ledger says was acknowledged was acknowledged by the place the sync goes to now. Otherwise a run
//! against another account would find everything unchanged, send nothing, and call it a success.

use flow::{Error, ObjectSchema, Result, Target};
use xxhash_rust::xxh3::xxh3_128;

use crate::diff::Resend;
use crate::prepare::asked;
use crate::{Ports, Sync, codes};

/// Where a sync goes to.
pub(crate) struct Aim {
    /// Now, with the object's fields as they are.
    pub(crate) now: Target,
    /// As the state remembers it.
    known: Option<Target>,
}

impl Aim {
    /// Rows refused before are tried again where the object's fields are not what they were then.
    pub(crate) fn resend(&self) -> Resend {
        let known = self.known.as_ref().and_then(|known| known.schema.as_ref());
        match known.is_some_and(|known| self.now.schema.as_ref() != Some(known)) {
            true => Resend::Refused,
            false => Resend::Nothing,
        }
    }

    /// What is to be remembered from now on, where it is news. The fields are remembered as they were until every refused
    /// row was tried with them as they are.
    pub(crate) fn news(&self) -> Option<Target> {
        let mut target = self.now.clone();
        if self.resend() == Resend::Refused {
            target.schema = self.known.as_ref().and_then(|known| known.schema.clone());
        }
        (self.known.as_ref() != Some(&target)).then_some(target)
    }
}

/// Names the object's fields: what a row that was refused by them may be tried again after.
pub(crate) fn schema_name(object: &ObjectSchema) -> String {
    let mut fields: Vec<_> = object.fields.iter().map(|field| format!("{field:?}")).collect();
    fields.sort_unstable();
    format!("{:032x}", xxh3_128(format!("{} {fields:?}", object.open).as_bytes()))
}

/// Where the sync goes to, asked from the destination and compared with what its memory is about.
///
/// # Errors
/// `G001` when they differ.
pub(crate) async fn target(sync: &Sync, ports: &Ports, object: &ObjectSchema) -> Result<Aim> {
    let account = asked(ports, || ports.destination.account()).await?;
    let known = ports.store.target(&sync.name).await?;
    let mut now = Target {
        account,
        object: sync.object.clone(),
        primary_key: sync.model.primary_key.clone(),
        schema: Some(schema_name(object)),
    };
    if let Some(known) = &known {
        if let Some(what) = differs(known, &now) {
            let message = format!("the state of `{}` {what}", sync.name);
            return Err(Error::new(&codes::G001, message));
        }
        // An account that is not told this time is taken for the one it was.
        now.account = now.account.or(known.account.clone());
    }
    Ok(Aim { now, known })
}

/// What became different, as the end of a sentence.
fn differs(known: &Target, now: &Target) -> Option<String> {
    let keys = |target: &Target| format!("`{}`", target.primary_key.join("`, `"));
    match (&known.account, &now.account) {
        (Some(known), Some(now)) if known != now => {
            Some(format!("is about {known}, and the connection leads to {now}"))
        }
        _ if known.object != now.object => {
            Some(format!("is about `{}`, and the sync goes to `{}`", known.object, now.object))
        }
        _ if known.primary_key != now.primary_key => Some(format!(
            "knows rows by the primary key {}, and the model's is {}",
            keys(known),
            keys(now)
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(account: Option<&str>, object: &str, key: &str) -> Target {
        Target {
            account: account.map(str::to_owned),
            object: object.to_owned(),
            primary_key: vec![key.to_owned()],
            schema: None,
        }
    }

    #[test]
    fn another_account_object_or_key_is_another_target_and_an_untold_account_is_not() {
        let known = target(Some("a"), "contacts", "id");
        assert_eq!(differs(&known, &known), None);
        assert_eq!(differs(&known, &target(None, "contacts", "id")), None);
        for other in [
            target(Some("b"), "contacts", "id"),
            target(Some("a"), "companies", "id"),
            target(Some("a"), "contacts", "email"),
        ] {
            assert!(differs(&known, &other).is_some(), "{other:?}");
        }
    }
}
