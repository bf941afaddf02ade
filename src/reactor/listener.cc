#include "reactor/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "reactor/socket_address.h"
#include "reactor/tcp_table.h"

namespace shoal::reactor {

namespace {

/// Somebody has just left the port: connections of his are all that keeps us from binding it.
bool only_connections_are_left(std::uint16_t port) {
  bool listener = false;
  bool connections = false;
  each_tcp_socket("/proc/net", [&](const TcpSocket& socket) {
    if (socket.local.port == port) (socket.listens ? listener : connections) = true;
    return true;
  });
  return connections && !listener;
}

}  // namespace

Result<ServiceListener> listen_service(const Endpoint& local, int backlog) {
  Result<OwnedFd> fd = bind_socket(local, {.type = SOCK_STREAM, .reuse_address = true, .what = "the service socket"});
  if (!fd.ok()) return fd.error();
  if (::listen(fd->get(), backlog) != 0) {
    return system_error(errno, "cannot listen on " + std::string(to_text(local).view()));
  }
  const Endpoint bound = bound_endpoint(fd->get());
  return ServiceListener{std::move(*fd), bound};
}

Result<ServiceListener> reserve_port(const Endpoint& local) {
  BindOptions options{.type = SOCK_STREAM, .what = "the service socket"};
  Result<OwnedFd> fd = bind_socket(local, options);
  if (!fd.ok() && fd.error().code == EADDRINUSE && only_connections_are_left(local.port)) {
    options.reuse_address = true;
    fd = bind_socket(local, options);
  }
  if (!fd.ok()) return fd.error();
  const int on = 1;
  if (::setsockopt(fd->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
    return system_error(errno, "cannot share " + std::string(to_text(local).view()));
  }
  const Endpoint bound = bound_endpoint(fd->get());
  return ServiceListener{std::move(*fd), bound};
}

std::optional<AcceptQueue> accept_queue(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_state != TCP_LISTEN) return std::nullopt;
  return AcceptQueue{info.tcpi_unacked, info.tcpi_sacked};
}

bool has_defer_accept(int fd) {
  int seconds = 0;
  socklen_t size = sizeof seconds;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size) == 0 && seconds > 0;
}

}  // namespace shoal::reactor
