//! A proxy between a client and a broker that cuts the line or holds a request back. It changes no byte.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The number of the request that ends a transaction.
const END_TXN: i16 = 26;

/// What goes through the proxy, and how.
#[derive(Default)]
struct Line {
    is_cut: AtomicBool,
    /// How long the next request that ends a transaction is held, milliseconds; zero for not at all.
    hold_ms: AtomicU64,
    held: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// A proxy; it ends with the process.
pub struct Proxy {
    line: Arc<Line>,
    listener: Option<TcpListener>,
    /// Its port.
    pub port: u16,
}

impl Proxy {
    /// Takes a port; connections wait until [`Proxy::go`].
    pub fn new() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Proxy { line: Arc::default(), listener: Some(listener), port }
    }

    /// Passes connections on to here.
    pub fn go(&mut self, to: SocketAddr) {
        let (listener, line) = (self.listener.take().unwrap(), Arc::clone(&self.line));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(to) else { continue };
                let clone = |stream: &TcpStream| stream.try_clone().unwrap();
                let (client_in, server_in) = (clone(&client), clone(&server));
                let mut open = line.open.lock().unwrap();
                if line.is_cut.load(SeqCst) {
                    continue;
                }
                open.extend([clone(&client), clone(&server)]);
                let requests = Arc::clone(&line);
                thread::spawn(move || requests.pass_requests(client_in, server));
                thread::spawn(move || {
                    let (mut from, mut to) = (server_in, client);
                    drop(std::io::copy(&mut from, &mut to));
                    drop(to.shutdown(Shutdown::Both));
                });
            }
        });
    }

    /// Cuts the line, or mends it.
    pub fn cut(&self, is_cut: bool) {
        let mut open = self.line.open.lock().unwrap();
        self.line.is_cut.store(is_cut, SeqCst);
        open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    /// Holds the next request that ends a transaction back for so long.
    pub fn hold_end(&self, how_long: Duration) {
        self.line.hold_ms.store(how_long.as_millis() as u64, SeqCst);
    }

    /// How many were held and passed on.
    pub fn held(&self) -> u64 {
        self.line.held.load(SeqCst)
    }
}

impl Line {
    fn pass_requests(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut pass = || -> std::io::Result<()> {
            loop {
                let mut size = [0; 4];
                from.read_exact(&mut size)?;
                let mut request = vec![0; u32::from_be_bytes(size) as usize];
                from.read_exact(&mut request)?;
                let hold_ms = match request[..2] == END_TXN.to_be_bytes() {
                    true => self.hold_ms.swap(0, SeqCst),
                    false => 0,
                };
                thread::sleep(Duration::from_millis(hold_ms));
                to.write_all(&size)?;
                to.write_all(&request)?;
                self.held.fetch_add(u64::from(hold_ms > 0), SeqCst);
            }
        };
        drop(pass());
        drop(to.shutdown(Shutdown::Both));
    }
}
