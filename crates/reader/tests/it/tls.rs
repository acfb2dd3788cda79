//! X2: TLS against a real server with certificates of our own making; nothing is trusted by accident.

use flow::{Retry, Source};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use support::{Postgres, Setup};

use crate::warehouse::{code, sql, table, texts, try_open, until};

struct Certificates {
    ca: String,
    server: String,
    key: String,
}

/// A CA, and a server certificate for these names, valid until that year.
fn certificates(names: &[&str], until: i32) -> Certificates {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.distinguished_name.push(DnType::CommonName, "outflow test CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut server = CertificateParams::new(names).unwrap();
    server.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    Certificates { ca: ca_certificate.pem(), server: certificate.pem(), key: key.serialize_pem() }
}

fn server(certificates: &Certificates) -> Postgres {
    Postgres::start_with(&Setup {
        settings: "ssl = on\nssl_cert_file = '{files}/server.crt'\nssl_key_file = '{files}/server.key'\n\
            password_encryption = 'scram-sha-256'"
            .to_owned(),
        files: vec![
            ("server.crt".to_owned(), certificates.server.clone().into_bytes()),
            ("server.key".to_owned(), certificates.key.clone().into_bytes()),
        ],
        hba: Some(
            "local all all trust\nhostnossl all postgres 127.0.0.1/32 password\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
                .to_owned(),
        ),
    })
}

#[tokio::test]
async fn a_server_is_trusted_exactly_as_far_as_the_mode_says() {
    let ours = certificates(&["localhost"], 2090);
    let postgres = server(&ours);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("ca.pem", &ours.ca);
    let other = file("other.pem", &certificates(&["localhost"], 2090).ca);
    postgres.database("tls").execute("CREATE ROLE reader LOGIN PASSWORD 'pw'").await;
    let url = |host: &str| format!("postgres://reader:pw@{host}:{}/postgres", postgres.port());
    let model = sql(
        "SELECT 1 AS id, ssl::text AS ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        &["id"],
    );
    let attempt = async |host: &str, options: Value| {
        let source = try_open(&url(host), options)?;
        let batches = crate::warehouse::read(&source, crate::warehouse::request(&model)).await?;
        Ok::<_, flow::Error>(texts(&batches, "ssl").remove(0))
    };
    for (host, options) in [
        ("localhost", json!({ "tls": "verify-full", "ca_file": good })),
        ("localhost", json!({ "tls": "verify-ca", "ca_file": good })),
        ("127.0.0.1", json!({ "tls": "verify-ca", "ca_file": good })),
        ("127.0.0.1", json!({ "tls": "require-unverified" })),
    ] {
        assert_eq!(attempt(host, options.clone()).await.unwrap(), "true", "{host} {options}");
    }
    for (host, options, why) in [
        ("127.0.0.1", json!({ "tls": "verify-full", "ca_file": good }), "another host"),
        ("localhost", json!({ "tls": "verify-full", "ca_file": other }), "not trusted"),
        ("localhost", json!({ "tls": "verify-ca", "ca_file": other }), "not trusted"),
        ("localhost", json!({ "tls": "verify-full" }), "not trusted"),
    ] {
        let error = attempt(host, options.clone()).await.unwrap_err();
        assert_eq!(code(&error), "E1004", "{host} {options}: {error}");
        assert!(error.message().contains(why), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }
    // The role may only come encrypted, and clear text is never tried on the way.
    let error = attempt("localhost", json!({})).await.unwrap_err();
    assert_eq!(code(&error), "E1003", "{error}");
    let ending = format!("?sslmode=verify-full&sslrootcert={}", good.replace('/', "%2F"));
    let source = try_open(&format!("{}{ending}", url("localhost")), json!({})).unwrap();
    source.check(&model).await.unwrap();
}

#[tokio::test]
async fn a_server_without_tls_or_with_an_old_certificate_is_refused() {
    let database = crate::warehouse::database("").await;
    let model = sql("SELECT 1 AS id", &["id"]);
    let source = try_open(&database.url, json!({ "tls": "require-unverified" })).unwrap();
    let error = source.check(&model).await.unwrap_err();
    assert_eq!(code(&error), "E1004");
    assert!(error.message().contains("no TLS"), "{error}");

    let old = certificates(&["localhost"], 2020);
    let postgres = server(&old);
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &old.ca).unwrap();
    let url = postgres.admin_url().replace("127.0.0.1", "localhost");
    for tls in ["verify-full", "verify-ca"] {
        let source = try_open(&url, json!({ "tls": tls, "ca_file": ca })).unwrap();
        let error = source.check(&model).await.unwrap_err();
        assert_eq!(code(&error), "E1004");
        assert!(error.message().contains("expired"), "{error}");
    }
}

#[tokio::test]
async fn cancelling_uses_the_same_tls() {
    let ours = certificates(&["localhost"], 2090);
    let postgres = server(&ours);
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &ours.ca).unwrap();
    let database = postgres.database("cancel");
    database
        .execute(
            "CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS pad FROM generate_series(1, 300000) AS i; \
             CREATE ROLE reader LOGIN PASSWORD 'pw'; GRANT SELECT ON t TO reader",
        )
        .await;
    let url = database.url_as("reader", "pw").replace("127.0.0.1", "localhost");
    let source = try_open(&url, json!({ "tls": "verify-full", "ca_file": ca })).unwrap();
    let mut read = source.read(crate::warehouse::request(&table("t", &["id"]))).await.unwrap();
    assert!(read.next().await.unwrap().is_some());
    drop(read);
    let client = database.client().await;
    until("the session is gone", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'";
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}
