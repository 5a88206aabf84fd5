//! TCP sockets.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use io_uring::{opcode, types};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, TcpKeepalive, Type};

use crate::error::{About, Error};
use crate::op;
use crate::pool::Block;
use crate::shard;

/// What is set on every socket.
#[derive(Debug, Clone, Copy, Default)]
pub struct SocketOptions {
    /// Send buffer in bytes; `None` leaves it to the kernel's autotuning, which is right on most lines.
    pub send_buffer_bytes: Option<usize>,
    /// Receive buffer in bytes; `None` leaves it to the kernel's autotuning.
    pub receive_buffer_bytes: Option<usize>,
    /// How fast to send, and what to make of loss; `None` leaves it to `net.ipv4.tcp_congestion_control`.
    pub congestion: Option<Congestion>,
}

/// The name of a congestion control algorithm: `cubic`, `bbr`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Congestion {
    name: [u8; CONGESTION_NAME_BYTES],
    length: u8,
}

/// A listening socket.
pub struct Listener {
    fd: Rc<OwnedFd>,
    address: SocketAddr,
    options: SocketOptions,
}

/// A connected socket. Clones share it; it is closed when the last one is dropped and no operation is in flight.
#[derive(Clone)]
pub struct Stream {
    fd: Rc<OwnedFd>,
    peer: SocketAddr,
}

impl SocketOptions {
    /// Sets them on a socket that is thrown away, so that what the kernel refuses is known before anybody calls.
    ///
    /// # Errors
    ///
    /// What it refuses; for a congestion control algorithm, the names of those that it has.
    pub fn check(&self) -> Result<(), Error> {
        let attempt =
            || prepare(&Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?.into(), *self);
        attempt().about("set", "the options of sockets")
    }
}

impl Congestion {
    /// The name.
    pub fn as_str(&self) -> &str {
        let name = self.name.get(..usize::from(self.length)).unwrap_or_default();
        // `from_str` takes ASCII only.
        std::str::from_utf8(name).unwrap_or_default()
    }
}

impl FromStr for Congestion {
    type Err = String;

    /// Whether the kernel has it is seen when it is used.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
        if text.is_empty() || text.len() >= CONGESTION_NAME_BYTES || !text.bytes().all(is_name) {
            return Err(format!(
                "{text:?} is no name of a congestion control algorithm; this kernel has: {}",
                algorithms("available")
            ));
        }
        let mut name = [0; CONGESTION_NAME_BYTES];
        name.iter_mut().zip(text.bytes()).for_each(|(place, octet)| *place = octet);
        let length = u8::try_from(text.len()).map_err(|_| "too long".to_owned())?;
        Ok(Self { name, length })
    }
}

impl Listener {
    /// Listens at `address`; several shards may listen at the same one, and the kernel spreads the connections.
    pub fn bind(address: SocketAddr, options: SocketOptions) -> Result<Self, Error> {
        let listen = || -> io::Result<(Socket, SocketAddr)> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let bound = socket.local_addr()?.as_socket().unwrap_or(address);
            Ok((socket, bound))
        };
        let (socket, address) = listen().about("listen at", address)?;
        Ok(Self { fd: Rc::new(socket.into()), address, options })
    }

    /// Where it listens; the port is known even if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next connection. [`Listener::close`] ends the wait with an error.
    pub async fn accept(&self) -> Result<Stream, Error> {
        let mut storage = Box::new((SockAddrStorage::zeroed(), ADDRESS_BYTES));
        let address: *mut libc::sockaddr = (&raw mut storage.0).cast();
        let length = &raw mut storage.1;
        let entry = opcode::Accept::new(types::Fd(self.fd.as_raw_fd()), address, length)
            .flags(libc::SOCK_CLOEXEC)
            .build();
        // SAFETY: the box keeps address and length in place, the Rc keeps the socket open.
        let (result, (_, storage)) = unsafe { op::submit((Rc::clone(&self.fd), storage), entry) }.await;
        let fd = result.about("accept a connection at", self.address)?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd).unwrap_or(-1)) };
        let (storage, length) = *storage;
        // SAFETY: the kernel has filled in an address of this length.
        let peer = unsafe { SockAddr::new(storage, length) }.as_socket().unwrap_or(self.address);
        prepare(&fd, self.options).about("set up the connection from", peer)?;
        Ok(Stream { fd: Rc::new(fd), peer })
    }

    /// Ends the wait of [`Listener::accept`].
    pub async fn close(&self) {
        cancel(&self.fd).await;
    }

    /// A second handle to the same socket, for the task that closes it.
    pub fn share(&self) -> Self {
        Self { fd: Rc::clone(&self.fd), address: self.address, options: self.options }
    }
}

impl Stream {
    /// Connects, giving up after `timeout`.
    pub async fn connect(
        address: SocketAddr,
        options: SocketOptions,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let create = || -> io::Result<OwnedFd> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            let fd = OwnedFd::from(socket);
            prepare(&fd, options)?;
            Ok(fd)
        };
        let fd = Rc::new(create().about("make a socket for", address)?);
        let target = Box::new(SockAddr::from(address));
        let entry =
            opcode::Connect::new(types::Fd(fd.as_raw_fd()), target.as_ptr().cast(), target.len()).build();
        let held = (Rc::clone(&fd), target);
        let mut connecting = tokio_uring::spawn(async move {
            // SAFETY: the box keeps the address in place, the Rc keeps the socket open.
            unsafe { op::submit(held, entry) }.await.0
        });
        // The operation runs in a task of its own, so that the time-out drops nothing that is in flight.
        let outcome = tokio::time::timeout(timeout, &mut connecting).await;
        if outcome.is_err() {
            cancel(&fd).await;
            let _ = connecting.await;
            let late = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {timeout:?}"));
            return Err(Error::new("connect to", address, late));
        }
        match outcome {
            Ok(Ok(result)) => result.about("connect to", address)?,
            _ => return Err(Error::new("connect to", address, io::Error::other("the task was ended"))),
        };
        Ok(Self { fd, peer: address })
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Reads what is there, at most a block, waiting until there is something. 0 bytes: the peer has closed.
    pub async fn read(&self, mut block: Block) -> (Result<usize, Error>, Block) {
        let fd = types::Fd(self.fd.as_raw_fd());
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        let entry = match block.registered_index(shard::current()) {
            Some(index) => opcode::ReadFixed::new(fd, block.as_mut_ptr(), length, index).build(),
            None => opcode::Recv::new(fd, block.as_mut_ptr(), length).build(),
        };
        // SAFETY: the block owns the memory, at an address that does not change; the Rc keeps the socket open.
        let (result, (_, block)) = unsafe { op::submit((Rc::clone(&self.fd), block), entry) }.await;
        (received(result).about("receive from", self.peer), block)
    }

    /// As [`Stream::read`], into a vector's whole length.
    pub async fn read_small(&self, mut buffer: Vec<u8>) -> (Result<usize, Error>, Vec<u8>) {
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(types::Fd(self.fd.as_raw_fd()), buffer.as_mut_ptr(), length).build();
        // SAFETY: the vector owns the memory, at an address that moving it does not change.
        let (result, (_, buffer)) = unsafe { op::submit((Rc::clone(&self.fd), buffer), entry) }.await;
        (received(result).about("receive from", self.peer), buffer)
    }

    /// Writes the first `length` bytes of a block, all of them.
    ///
    /// # Panics
    ///
    /// If the block is shorter.
    pub async fn write_all(&self, mut block: Block, length: usize) -> (Result<(), Error>, Block) {
        assert!(length <= block.len(), "cannot send more than a block holds");
        let fd = types::Fd(self.fd.as_raw_fd());
        let mut sent = 0;
        while sent < length {
            let rest = block.get(sent..length).unwrap_or_default();
            let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            let entry = match block.registered_index(shard::current()) {
                Some(index) => opcode::WriteFixed::new(fd, rest.as_ptr(), count, index).build(),
                None => opcode::Send::new(fd, rest.as_ptr(), count).flags(SEND_FLAGS).build(),
            };
            // SAFETY: as in `read`; the kernel only reads.
            let (result, held) = unsafe { op::submit((Rc::clone(&self.fd), block), entry) }.await;
            block = held.1;
            match progress(result) {
                Ok(count) => sent += count,
                Err(error) => return (Err(Error::new("send to", self.peer, error)), block),
            }
        }
        (Ok(()), block)
    }

    /// Writes a whole vector and gives it back, for commands.
    pub async fn write_small(&self, mut buffer: Vec<u8>) -> (Result<(), Error>, Vec<u8>) {
        let mut sent = 0;
        while sent < buffer.len() {
            let rest = buffer.get(sent..).unwrap_or_default();
            let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            let entry = opcode::Send::new(types::Fd(self.fd.as_raw_fd()), rest.as_ptr(), count)
                .flags(SEND_FLAGS)
                .build();
            // SAFETY: the vector owns the memory, at an address that moving it does not change.
            let (result, held) = unsafe { op::submit((Rc::clone(&self.fd), buffer), entry) }.await;
            buffer = held.1;
            match progress(result) {
                Ok(count) => sent += count,
                Err(error) => return (Err(Error::new("send to", self.peer, error)), buffer),
            }
        }
        (Ok(()), buffer)
    }

    /// Ends every read and write that waits, with [`Error::is_cancelled`]; the connection stays. Kernels before 5.19
    /// cannot do it, and nothing happens.
    pub async fn cancel(&self) {
        cancel(&self.fd).await;
    }

    /// Ends both directions: waiting reads return 0 bytes, waiting writes fail.
    pub fn shutdown(&self) {
        // SAFETY: the descriptor is open; shutdown touches no memory of ours.
        unsafe { libc::shutdown(self.fd.as_raw_fd(), libc::SHUT_RDWR) };
    }
}

/// Asks the kernel to cancel whatever is in flight on a descriptor, and waits for its answer.
async fn cancel(fd: &Rc<OwnedFd>) {
    let target = types::CancelBuilder::fd(types::Fd(fd.as_raw_fd())).all();
    let entry = opcode::AsyncCancel2::new(target).build();
    // SAFETY: no memory is involved; the Rc keeps the descriptor open.
    let _ = unsafe { op::submit(Rc::clone(fd), entry) }.await;
}

fn prepare(fd: &OwnedFd, options: SocketOptions) -> io::Result<()> {
    let socket = socket2::SockRef::from(fd);
    // Commands are small and answered at once; data goes in large writes anyway.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))?;
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(congestion) = options.congestion {
        socket
            .set_tcp_congestion(congestion.as_str().as_bytes())
            .map_err(|error| refused(congestion.as_str(), error))?;
    }
    Ok(())
}

/// What the kernel means when it does not take an algorithm.
fn refused(name: &str, error: io::Error) -> io::Error {
    let text = match error.raw_os_error() {
        Some(libc::ENOENT) => format!(
            "this kernel has no congestion control {name:?}; it has: {} (as root, `modprobe tcp_{name}` may add it)",
            algorithms("available")
        ),
        Some(libc::EPERM) => format!(
            "congestion control {name:?} is not for every user; allowed are: {} (net.ipv4.tcp_allowed_congestion_control)",
            algorithms("allowed")
        ),
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}

/// The algorithms that are `available` or `allowed`, as the kernel lists them.
fn algorithms(which: &str) -> String {
    let list = fs::read_to_string(format!("/proc/sys/net/ipv4/tcp_{which}_congestion_control"));
    list.map_or_else(|_| "unknown".to_owned(), |list| list.trim().to_owned())
}

fn received(result: io::Result<u32>) -> io::Result<usize> {
    match result {
        Ok(count) => Ok(usize::try_from(count).unwrap_or_default()),
        // A peer that resets the connection has closed it too: both end the session.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
        Err(error) => Err(error),
    }
}

fn progress(result: io::Result<u32>) -> io::Result<usize> {
    match usize::try_from(result?).unwrap_or_default() {
        0 => Err(io::Error::new(io::ErrorKind::WriteZero, "the connection takes no more data")),
        count => Ok(count),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "128 octets")]
const ADDRESS_BYTES: libc::socklen_t = size_of::<SockAddrStorage>() as libc::socklen_t;
const BACKLOG: i32 = 1024;
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
/// `TCP_CA_NAME_MAX`, with the closing zero.
const CONGESTION_NAME_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str) -> SocketOptions {
        SocketOptions { congestion: Some(name.parse().unwrap()), ..SocketOptions::default() }
    }

    #[test]
    fn a_socket_has_the_congestion_control_that_was_asked_for() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        // Every kernel has this one built in.
        prepare(&socket.try_clone().unwrap().into(), with("reno")).unwrap();
        let set = socket.tcp_congestion().unwrap();
        assert_eq!(set.split(|&octet| octet == 0).next(), Some(&b"reno"[..]));
        with("reno").check().unwrap();
    }

    #[test]
    fn an_unknown_congestion_control_names_those_that_there_are() {
        let message = with("no-such-thing").check().unwrap_err().to_string();
        assert!(message.contains("\"no-such-thing\"") && message.contains("reno"), "{message}");
        for wrong in ["", "a name", "cubic;", "sixteen_letters_", "größe"] {
            assert!(wrong.parse::<Congestion>().unwrap_err().contains("reno"), "{wrong}");
        }
        assert_eq!("fifteen_letters".parse::<Congestion>().unwrap().as_str(), "fifteen_letters");
    }
}
