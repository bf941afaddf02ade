// The sockets of gossip: UDP and TCP under one port, each family on its own. `[::]` means both families: one socket for
// v6 alone and one for v4, as a serf agent has them, so that a v4 peer is seen with its v4 address and a host without
// v6 still serves v4.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "reactor/loop.h"
#include "reactor/tcp_stream.h"
#include "reactor/udp_socket.h"

namespace shoal::app {

class GossipSockets {
 public:
  /// Accepted streams go into `pool`.
  GossipSockets(reactor::Loop& loop, reactor::StreamPool& pool, reactor::UdpSocket::Handler handler);

  /// All sockets or none. Port 0: any, the same for all. Gives what is bound; the error names the address.
  [[nodiscard]] Result<Endpoint> bind(const IpAddress& addr, std::uint16_t port);
  /// False when the datagram was dropped. REQUIRES: bound.
  bool try_send(const Endpoint& to, Bytes bytes);
  /// Of a socket that is bound to everything: v4 as well as v6.
  [[nodiscard]] bool both_families() const { return v4_.udp.is_open() && v6_.udp.is_open(); }

 private:
  struct Family {
    Family(reactor::Loop& loop, reactor::StreamPool& pool, const reactor::UdpSocket::Handler& handler)
        : udp(loop, handler), tcp(loop, pool) {}
    [[nodiscard]] Result<Endpoint> bind(const Endpoint& local);
    void close();
    reactor::UdpSocket udp;
    reactor::TcpListener tcp;
  };
  [[nodiscard]] Result<Endpoint> bind_both(std::uint16_t port);

  Family v4_;
  Family v6_;
};

}  // namespace shoal::app
