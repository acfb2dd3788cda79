//! Access tokens: made by one of four ways to sign in, renewed once when a session ends, by one request at a time.

use std::fmt;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Clock, Error, Result, Retry, Secret};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use writer::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use writer::{Client, Method, Reply, Request, base64_url, basic, bearer, percent};

use super::answer::Complaint;
use super::classify::Judge;
use super::codes::{E2100_SIGN_IN, E2101_PRIVATE_KEY, E2102_TOKEN_FILE};
use super::options::Login;

/// How long an assertion may be used; Salesforce takes a few minutes at most.
const ASSERTION_SECONDS: i64 = 180;
/// The part of a token that is not asked for by path.
const TOKEN_PATH: &str = "/services/oauth2/token";

/// Signs in, and keeps the token until a request says that its session has ended.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) login: Login,
    pub(super) clock: Arc<dyn Clock>,
    /// The lock is held while a token is asked for, so that one request asks and the others wait for its answer.
    pub(super) token: tokio::sync::Mutex<Option<Arc<Token>>>,
}

/// An access token.
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) headers: HeaderMap,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Session {
    /// The token to send with the next request.
    ///
    /// # Errors
    /// When signing in fails.
    pub(super) async fn token(&self) -> Result<Arc<Token>> {
        let mut known = self.token.lock().await;
        match &*known {
            Some(token) => Ok(Arc::clone(token)),
            None => self.sign_in(&mut known).await,
        }
    }

    /// Another token in the place of one whose session has ended; `None` where the token was given and there is no other.
    ///
    /// # Errors
    /// When signing in fails.
    pub(super) async fn renewed(&self, ended: &Arc<Token>) -> Result<Option<Arc<Token>>> {
        if matches!(self.login, Login::Given { .. }) {
            return Ok(None);
        }
        let mut known = self.token.lock().await;
        match &*known {
            // Somebody else has done it meanwhile.
            Some(token) if !Arc::ptr_eq(token, ended) => Ok(Some(Arc::clone(token))),
            _ => self.sign_in(&mut known).await.map(Some),
        }
    }

    async fn sign_in(&self, known: &mut Option<Arc<Token>>) -> Result<Arc<Token>> {
        *known = None;
        let secret = match &self.login {
            Login::Given { token } => token.clone(),
            Login::Jwt { client_id, username, private_key, audience } => {
                let expires = self.clock.now_micros() / 1_000_000 + ASSERTION_SECONDS;
                let claims =
                    json!({ "iss": client_id, "sub": username, "aud": audience, "exp": expires });
                let assertion = signed(&claims.to_string(), private_key)?;
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                let form = [("grant_type", grant), ("assertion", assertion.as_str())];
                self.ask(&form, None, private_key).await?.access_token
            }
            Login::ClientCredentials { client_id, client_secret } => {
                let form = [("grant_type", "client_credentials")];
                self.ask(&form, Some((client_id, client_secret)), client_secret).await?.access_token
            }
            Login::Refresh { client_id, client_secret, refresh_token, token_file } => {
                let configured = (refresh_token, token_file.as_path());
                self.refresh(client_id, client_secret.as_ref(), configured).await?
            }
        };
        let headers = bearer(self.client.connection(), &secret)?;
        let token = Arc::new(Token { secret, headers });
        *known = Some(Arc::clone(&token));
        Ok(token)
    }

    /// Uses the refresh token, and keeps the one Salesforce puts in its place before anything else is done: a token that
    /// is used twice revokes all that came of it. The file's lock keeps other processes from using it meanwhile.
    async fn refresh(
        &self,
        client_id: &str,
        client_secret: Option<&Secret>,
        (configured, path): (&Secret, &Path),
    ) -> Result<Secret> {
        let file = TokenFile::open(path.to_owned(), configured.clone()).await?;
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", file.current.expose()),
            ("client_id", client_id),
        ];
        form.extend(client_secret.map(|secret| ("client_secret", secret.expose())));
        let answer = self.ask(&form, None, &file.current).await?;
        if let Some(next) = answer.refresh_token.filter(|next| *next != file.current) {
            file.replace(next).await?;
        }
        Ok(answer.access_token)
    }

    async fn ask(
        &self,
        form: &[(&str, &str)],
        credentials: Option<(&str, &Secret)>,
        secret: &Secret,
    ) -> Result<Answer> {
        let form: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
        let mut headers = match credentials {
            Some((id, secret)) => basic(self.client.connection(), id, secret)?,
            None => HeaderMap::new(),
        };
        let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, urlencoded);
        let body = Some(form.join("&").into_bytes());
        let request =
            Request { method: Method::POST, path: TOKEN_PATH.to_owned(), operation: "token", body };
        // A request for a token writes no row.
        let reply = self.client.send_with(request, headers).await.map_err(|error| {
            let retry = error.retry();
            Error::new(error.code(), error.message()).with_retry(retry).with_source(error)
        })?;
        self.answer(&reply, secret)
    }

    fn answer(&self, reply: &Reply, secret: &Secret) -> Result<Answer> {
        let judge = Judge { secret: secret.clone(), now_micros: self.clock.now_micros(), rows: 0 };
        let complaint = Complaint::all(reply).into_iter().next();
        match (reply.status, complaint) {
            (200, _) => serde_json::from_slice(&reply.body).map_err(|_| {
                let error = judge.unreadable(reply);
                Error::new(error.code(), error.message()).with_retry(Retry::Backoff)
            }),
            (400 | 401 | 403, Some(complaint)) => {
                let message = format!("the token endpoint says no{}", judge.reason(&complaint));
                Err(Error::new(&E2100_SIGN_IN, message))
            }
            _ => Err(judge.error(reply)),
        }
    }
}

/// What the token endpoint gives. `instance_url` is left alone: `base_url` says where requests go.
#[derive(Deserialize)]
struct Answer {
    access_token: Secret,
    refresh_token: Option<Secret>,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The token to use next.
    refresh_token: String,
    /// SHA-256 of the configured token this one came of: a new one in the configuration comes first.
    came_of: String,
}

/// The file of the refresh token, locked.
struct TokenFile {
    path: PathBuf,
    current: Secret,
    came_of: String,
    /// Its lock ends when it is dropped.
    _lock: File,
}

impl TokenFile {
    async fn open(path: PathBuf, configured: Secret) -> Result<Self> {
        blocking(move || Self::open_now(path, &configured)).await
    }

    fn open_now(path: PathBuf, configured: &Secret) -> Result<Self> {
        let wrong = |reason: &str| {
            Error::new(&E2102_TOKEN_FILE, format!("`token_file` {}: {reason}", path.display()))
        };
        let came_of = hex(configured.expose());
        let lock = private(&path.with_extension("lock"))
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| wrong("cannot be locked").with_source(error))?;
        // What cannot be written must not be found out after the token was used.
        private(&path.with_extension("new"))
            .map_err(|error| wrong("its folder cannot be written to").with_source(error))?;
        let current = match fs::read(&path) {
            Ok(bytes) => {
                let kept: Kept = serde_json::from_slice(&bytes)
                    .map_err(|_| wrong("is not a file outflow wrote"))?;
                match kept.came_of == came_of {
                    true => Secret::new(kept.refresh_token),
                    false => configured.clone(),
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => configured.clone(),
            Err(error) => return Err(wrong("cannot be read").with_source(error)),
        };
        Ok(Self { path, current, came_of, _lock: lock })
    }

    async fn replace(self, next: Secret) -> Result<()> {
        blocking(move || {
            let kept =
                Kept { refresh_token: next.expose().to_owned(), came_of: self.came_of.clone() };
            let text = serde_json::to_string(&kept).unwrap_or_default();
            let beside = self.path.with_extension("new");
            let written = private(&beside).and_then(|mut file| {
                file.set_len(0)?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                fs::rename(&beside, &self.path)?;
                let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
            });
            written.map_err(|error| {
                let message =
                    format!("`token_file` {}: the new token cannot be kept", self.path.display());
                Error::new(&E2102_TOKEN_FILE, message).with_source(error)
            })
        })
        .await
    }
}

/// Opens a file only its owner can read, made where it is missing.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(&E2102_TOKEN_FILE, "the work on `token_file` was given up").with_source(error)
    })?
}

/// A signed assertion: `header.claims.signature` with RS256 (RFC 7515, RFC 7518).
fn signed(claims: &str, key: &Secret) -> Result<String> {
    let wrong = |reason: &'static str| Error::new(&E2101_PRIVATE_KEY, reason);
    let der = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| wrong("`private_key` is not a private key in PEM"))?;
    let pair = match &der {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => return Err(wrong("`private_key` is not an RSA key")),
    };
    let pair = pair.map_err(|_| wrong("`private_key` is not an RSA key of 2048 bits or more"))?;
    let text = format!(
        "{}.{}",
        base64_url(br#"{"alg":"RS256","typ":"JWT"}"#),
        base64_url(claims.as_bytes())
    );
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| wrong("`private_key` cannot sign"))?;
    Ok(format!("{text}.{}", base64_url(&signature)))
}

/// SHA-256 in hex: of a token, so that the file does not show the configured one.
fn hex(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
