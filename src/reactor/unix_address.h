// Names of UNIX sockets as the kernel wants them. For this folder.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "base/result.h"
#include "reactor/fd.h"

namespace shoal::reactor {

struct UnixAddress {
  sockaddr_un address{};
  socklen_t size = 0;
  OwnedFd directory;  // Must stay open until the bind or connect, when the address goes through it.
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

/// A path of any length, or an abstract name when it begins with '@'.
[[nodiscard]] Result<UnixAddress> to_unix_address(const std::string& name);

/// The uid at the other end of a connected UNIX socket.
[[nodiscard]] Result<uid_t> peer_uid(int fd);
/// The process at the other end when it listened or connected; 0 when we cannot see it.
[[nodiscard]] Result<pid_t> peer_pid(int fd);

}  // namespace shoal::reactor
