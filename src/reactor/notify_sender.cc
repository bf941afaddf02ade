#include "reactor/notify_sender.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/check.h"
#include "reactor/socket_address.h"

namespace shoal::reactor {

Result<void> NotifySender::open(const std::string& name) {
  SHOAL_ASSERT(!is_open());
  if (name.empty() || (name[0] != '/' && name[0] != '@'))
    return Error{EINVAL, "NOTIFY_SOCKET " + name + " is neither a path nor an abstract name"};
  OwnedFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) return system_error(errno, "NOTIFY_SOCKET " + name);
  Result<UnixAddress> to = to_unix_address(name);
  if (!to.ok()) return Error{to.error().code, "NOTIFY_SOCKET " + name + ": " + to.error().message};
  fd_ = std::move(fd);
  to_ = std::move(to.value());
  name_ = name;
  return {};
}

Result<void> NotifySender::send(std::string_view datagram) {
  SHOAL_ASSERT(is_open());
  const ssize_t sent = ::sendto(fd_.get(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL, to_.get(),
                                to_.size);
  if (sent < 0) return system_error(errno, "NOTIFY_SOCKET " + name_);
  return {};
}

}  // namespace shoal::reactor
