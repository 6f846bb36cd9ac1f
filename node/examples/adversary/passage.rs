//! A way to the node from an address that is chosen: libp2p leaves the choice to the system.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Opens a door on this machine: whoever dials it reaches `target`, which sees `from`.
pub(crate) async fn open(from: IpAddr, target: &Multiaddr) -> io::Result<Multiaddr> {
    let node = socket_address(target).ok_or(io::ErrorKind::InvalidInput)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            // A way that ends is an answer too: what came through it is dropped.
            if let Ok(mut far) = dial(from, node).await {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        }
    });
    let known = target.iter().filter(|part| matches!(part, Protocol::P2p(_)));
    let door = [Protocol::Ip4(Ipv4Addr::LOCALHOST), Protocol::Tcp(port)];
    Ok(door.into_iter().chain(known).collect())
}

async fn dial(from: IpAddr, node: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(node).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    match (parts.next()?, parts.next()?) {
        (Protocol::Ip4(ip), Protocol::Tcp(port)) => Some((ip, port).into()),
        _ => None,
    }
}
