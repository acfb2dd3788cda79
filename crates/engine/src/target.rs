//! Holds that what the ledger says was acknowledged was acknowledged by the place the sync goes to now. Otherwise a run
//! against another account would find everything unchanged, send nothing, and call it a success.

use flow::{Error, Result, Target};

use crate::prepare::asked;
use crate::{Ports, Sync, codes};

/// Where the sync goes to, asked from the destination and compared with what its memory is about.
///
/// # Errors
/// `G001` when they differ.
pub(crate) async fn target(sync: &Sync, ports: &Ports) -> Result<Target> {
    let account = asked(ports, || ports.destination.account()).await?;
    let now = Target {
        account,
        object: sync.object.clone(),
        primary_key: sync.model.primary_key.clone(),
        schema: None,
    };
    match ports.store.target(&sync.name).await? {
        Some(known) => differs(&known, &now).map_or_else(
            // An account that is not told this time is taken for the one it was.
            || Ok(Target { account: now.account.clone().or(known.account.clone()), ..now.clone() }),
            |what| Err(Error::new(&codes::G001, format!("the state of `{}` {what}", sync.name))),
        ),
        None => Ok(now),
    }
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
