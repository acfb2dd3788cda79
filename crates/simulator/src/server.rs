//! Listens, speaks HTTP/1.1 (over TLS where asked), and stops in order.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Connection, Line};
use crate::{Settings, tls};

/// Calls that are still running may finish for so long when the simulator stops.
const GRACE: Duration = Duration::from_secs(2);

/// A simulator that is listening; it stops when it is dropped.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    secure: bool,
    drain: CancellationToken,
    kill: CancellationToken,
    tasks: TaskTracker,
}

/// Builds the vendor's double and starts to serve it.
///
/// # Errors
/// `InvalidInput` for options, TLS files or an address that is not loopback; else what binding says.
pub async fn start(
    build: impl FnOnce(&Settings) -> Result<Router, String> + Send,
    settings: Settings,
) -> io::Result<Running> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
    let remote: bool = settings.option("allow_remote").map_err(invalid)?.unwrap_or(false);
    if !settings.bind.ip().is_loopback() && !remote {
        return Err(invalid(format!(
            "{} is not a loopback address; set the option allow_remote=true to listen on it",
            settings.bind
        )));
    }
    let acceptor = settings.tls.as_ref().map(tls::acceptor).transpose()?;
    let router = build(&settings).map_err(invalid)?;
    let listener = TcpListener::bind(settings.bind).await?;
    let running = Running {
        addr: listener.local_addr()?,
        secure: acceptor.is_some(),
        drain: CancellationToken::new(),
        kill: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let house = House {
        router,
        acceptor,
        drain: running.drain.clone(),
        kill: running.kill.clone(),
        tasks: running.tasks.clone(),
    };
    running.tasks.spawn(accept(listener, Arc::new(house)));
    Ok(running)
}

impl Running {
    /// Base URL without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// The address it listens on, with the port it was given.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, lets running calls finish for two seconds, then cuts the rest.
    pub async fn stop(self) {
        self.drain.cancel();
        self.tasks.close();
        if tokio::time::timeout(GRACE, self.tasks.wait()).await.is_err() {
            self.kill.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.drain.cancel();
        self.kill.cancel();
    }
}

struct House {
    router: Router,
    acceptor: Option<TlsAcceptor>,
    drain: CancellationToken,
    kill: CancellationToken,
    tasks: TaskTracker,
}

async fn accept(listener: TcpListener, house: Arc<House>) {
    loop {
        let accepted = tokio::select! {
            () = house.drain.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let welcome = Arc::clone(&house);
                house.tasks.spawn(async move { welcome.receive(stream).await });
            }
            // Out of file handles, or a peer that is gone already: there is nothing to do but go on.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

impl House {
    /// Serves one connection until it ends; what goes wrong on it is the peer's affair.
    async fn receive(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let line = Line::default();
        let connection = Connection::new(stream, line.clone());
        match &self.acceptor {
            None => self.serve(connection, line).await,
            Some(acceptor) => {
                let secured = tokio::select! {
                    () = self.drain.cancelled() => return,
                    secured = acceptor.accept(connection) => secured,
                };
                if let Ok(secured) = secured {
                    self.serve(secured, line).await;
                }
            }
        }
    }

    fn serve<S>(&self, stream: S, line: Line) -> impl Future<Output = ()>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let vendor = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(line.clone());
            vendor.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        let (drain, kill) = (self.drain.clone(), self.kill.clone());
        async move {
            let mut connection = Box::pin(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                () = drain.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            tokio::select! {
                _ = connection.as_mut() => {}
                () = kill.cancelled() => {}
            }
        }
    }
}
