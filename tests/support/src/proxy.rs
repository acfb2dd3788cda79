//! A TCP proxy that misbehaves in the ways networks do.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What happens to a connection. Bytes are those of the server's answers on that connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: forward.
    None,
    /// Close both sides in order (FIN) after so many bytes.
    Close(u64),
    /// Reset the client's side (RST) after so many bytes.
    Reset(u64),
    /// Forward nothing more after so many bytes, but keep the connection open.
    Stall(u64),
    /// Accept, and never answer.
    BlackHole,
}

/// A running proxy; gone when dropped.
pub struct Proxy {
    addr: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy on a free loopback port in front of `target`.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(target: SocketAddr, fault: Fault) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let fault = Arc::new(Mutex::new(fault));
        let task = tokio::spawn(accept(listener, target, fault.clone()));
        Self { addr, fault, task }
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `url` with the host and port of the proxy.
    ///
    /// # Panics
    /// When `url` has no user part and no host.
    pub fn url(&self, url: &str) -> String {
        let (head, rest) = url.split_once('@').or_else(|| url.split_once("://")).expect("a URL");
        let separator = if url.contains('@') { "@" } else { "://" };
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        format!("{head}{separator}{}{path}", self.addr)
    }

    /// What happens to connections from now on; open ones keep theirs.
    ///
    /// # Panics
    /// Never while tests do not panic inside the proxy.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().expect("the lock is held for an assignment only") = fault;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, fault: Arc<Mutex<Fault>>) {
    // Dropped with this task, which ends the connections too.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let fault = *fault.lock().expect("the lock is held for an assignment only");
        connections.spawn(async move {
            let _ = forward(client, target, fault).await;
        });
    }
}

async fn forward(client: TcpStream, target: SocketAddr, fault: Fault) -> io::Result<()> {
    if fault == Fault::BlackHole {
        let _held = client;
        return std::future::pending().await;
    }
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let reached = {
        let up = async {
            tokio::io::copy(&mut from_client, &mut to_server).await?;
            to_server.shutdown().await?;
            // A client that is done sending may still be reading.
            std::future::pending().await
        };
        tokio::select! {
            reached = down(&mut from_server, &mut to_client, fault) => reached?,
            result = up => return result,
        }
    };
    match fault {
        Fault::Stall(_) if reached => std::future::pending().await,
        Fault::Reset(_) if reached => {
            let client = from_client.reunite(to_client).map_err(io::Error::other)?;
            client.set_zero_linger()
        }
        _ => Ok(()),
    }
}

/// Forwards the server's answers; true when the fault's limit was reached before they ended.
async fn down(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, fault: Fault) -> io::Result<bool> {
    let mut left = match fault {
        Fault::Close(bytes) | Fault::Reset(bytes) | Fault::Stall(bytes) => Some(bytes),
        Fault::None | Fault::BlackHole => None,
    };
    let mut buffer = vec![0; 16 * 1024];
    while left != Some(0) {
        let room = left.map_or(buffer.len(), |left| buffer.len().min(left as usize));
        let read = from.read(&mut buffer[..room]).await?;
        if read == 0 {
            to.shutdown().await?;
            return Ok(false);
        }
        to.write_all(&buffer[..read]).await?;
        left = left.map(|left| left - read as u64);
    }
    Ok(true)
}
