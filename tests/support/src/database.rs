//! One database of a private PostgreSQL, and connections to it.

use tokio_postgres::{Client, NoTls};

/// A database of its own for one test.
#[derive(Debug, Clone)]
pub struct Database {
    /// `postgres://...` for the cluster's superuser.
    pub url: String,
}

impl Database {
    /// A new connection.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn client(&self) -> Client {
        connect(&self.url).await
    }

    /// Runs statements.
    ///
    /// # Panics
    /// When one fails.
    pub async fn execute(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{error:?}"));
    }

    /// Runs statements from code that is not async, or is.
    ///
    /// # Panics
    /// When one fails.
    pub fn execute_blocking(&self, sql: &str) {
        Self::run(&self.url, sql);
    }

    /// The URL for another role, which needs this password.
    pub fn url_as(&self, role: &str, password: &str) -> String {
        let (_, place) = self.url.split_once('@').expect("our own URLs have a user");
        format!("postgres://{role}:{password}@{place}")
    }

    /// Runs statements on a thread of their own, so that it works inside a runtime too.
    pub(crate) fn run(url: &str, sql: &str) {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be built").block_on(async {
                let client = connect(url).await;
                client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{error:?}"));
            });
        };
        std::thread::scope(|scope| scope.spawn(run).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}

/// A client whose connection task runs in the background.
///
/// # Panics
/// When the server does not answer.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .unwrap_or_else(|error| panic!("cannot connect to the private PostgreSQL: {error:?}"));
    tokio::spawn(async move {
        // Ends with an error when a test kills the session on purpose; the client sees it too.
        let _ = connection.await;
    });
    client
}
