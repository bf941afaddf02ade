#include "reactor/udp_socket.h"

#include <sys/socket.h>
#include <cerrno>

#include "base/check.h"
#include "reactor/socket_address.h"

namespace shoal::reactor {

UdpSocket::UdpSocket(Loop& loop, Handler handler)
    : watch_(
          loop, [](void* self, Watch::Ready) { static_cast<UdpSocket*>(self)->on_readable(); }, this),
      handler_(std::move(handler)),
      buffer_(64 * 1024) {}

Result<Endpoint> UdpSocket::bind(const Endpoint& local, Families families) {
  SHOAL_ASSERT(!is_open());
  Result<OwnedFd> fd =
      bind_socket(local, {.type = SOCK_DGRAM | SOCK_NONBLOCK, .families = families, .what = "the gossip UDP socket"});
  if (!fd.ok()) return fd.error();
  for (int bytes = kReceiveBufferBytes; bytes > 0; bytes /= 2) {
    if (::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0) break;
  }
  socklen_t size = sizeof receive_buffer_bytes_;
  ::getsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes_, &size);
  local_ = bound_endpoint(fd->get());
  is_v6_ = family_of(local.addr) == AF_INET6;
  only_v6_ = is_v6_ && families == Families::kOwnOnly;
  if (Result<void> opened = watch_.open(std::move(*fd)); !opened.ok()) return opened.error();
  watch_.want(true, false);
  return local_;
}

bool UdpSocket::try_send(const Endpoint& to, Bytes bytes) {
  SHOAL_ASSERT(is_open());
  const SocketAddress address = to_socket_address(to, is_v6_ ? AF_INET6 : AF_INET);
  // A v6-only socket sends to a v4-mapped address nowhere; the kernel would only say that the network is unreachable.
  if (address.size != 0 && !(only_v6_ && family_of(to.addr.unmapped()) == AF_INET)) {
    for (int tries = 0; tries < 2; ++tries) {
      if (::sendto(watch_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL, address.get(), address.size) >= 0) {
        ++counters_.sent;
        return true;
      }
      // A refusal that an earlier datagram met is reported to the next one, which has not been sent then.
      if (errno != ECONNREFUSED && errno != EINTR) break;
    }
  }
  ++counters_.send_dropped;
  return false;
}

void UdpSocket::on_readable() {
  for (int i = 0; i < kReadsPerTurn && is_open(); ++i) {
    sockaddr_storage from{};
    socklen_t from_size = sizeof from;
    const ssize_t size = ::recvfrom(watch_.fd(), buffer_.bytes().data(), buffer_.size(), MSG_DONTWAIT,
                                    reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      ++counters_.receive_errors;
      continue;
    }
    ++counters_.received;
    if (i > 0) watch_.loop().refresh();
    handler_(from_socket_address(from), Bytes(buffer_.bytes()).first(static_cast<std::size_t>(size)));
  }
}

}  // namespace shoal::reactor
