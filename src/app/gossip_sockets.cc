#include "app/gossip_sockets.h"

#include <cerrno>

namespace shoal::app {

GossipSockets::GossipSockets(reactor::Loop& loop, reactor::StreamPool& pool, reactor::UdpSocket::Handler handler)
    : v4_(loop, pool, handler), v6_(loop, pool, handler) {}

Result<Endpoint> GossipSockets::Family::bind(const Endpoint& local) {
  auto bound = udp.bind(local, reactor::Families::kOwnOnly);
  if (!bound.ok()) return bound;
  const auto listening = tcp.listen(bound.value(), 128, reactor::Families::kOwnOnly);
  if (!listening.ok()) {
    close();
    return listening.error();
  }
  return bound;
}

void GossipSockets::Family::close() {
  udp.close();
  tcp.close();
}

Result<Endpoint> GossipSockets::bind(const IpAddress& addr, std::uint16_t port) {
  if (addr.is_v4()) return v4_.bind({addr.unmapped(), port});
  if (!addr.is_unspecified()) return v6_.bind({addr, port});
  return bind_both(port);
}

Result<Endpoint> GossipSockets::bind_both(std::uint16_t port) {
  const IpAddress any_v4 = IpAddress::v4(0, 0, 0, 0);
  auto v6 = v6_.bind({*IpAddress::parse("::"), port});
  if (!v6.ok()) {
    // A kernel without IPv6 has it switched off for everybody: v4 is all there is.
    const bool no_v6 = v6.error().code == EAFNOSUPPORT || v6.error().code == EADDRNOTAVAIL;
    return no_v6 ? v4_.bind({any_v4, port}) : v6;
  }
  const auto v4 = v4_.bind({any_v4, v6.value().port});
  if (!v4.ok()) {
    v6_.close();
    return v4.error();
  }
  return v6;
}

bool GossipSockets::try_send(const Endpoint& to, Bytes bytes) {
  const bool is_v4 = to.addr.is_v4();
  Family& family = is_v4 ? v4_ : v6_;
  if (!family.udp.is_open()) return false;
  return family.udp.try_send(is_v4 ? Endpoint{to.addr.unmapped(), to.port} : to, bytes);
}

}  // namespace shoal::app
