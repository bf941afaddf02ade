#include "reactor/unix_address.h"

#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "reactor/socket_address.h"

namespace shoal::reactor {

// sun_path holds 107 bytes and a NUL. A longer path is reached through its directory's descriptor.
Result<UnixAddress> to_unix_address(const std::string& name) {
  UnixAddress out;
  out.address.sun_family = AF_UNIX;
  const bool abstract = !name.empty() && name[0] == '@';
  std::string path = name;
  if (!abstract && name.size() >= sizeof out.address.sun_path) {
    const std::size_t slash = name.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : name.substr(0, slash + 1);
    out.directory = OwnedFd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!out.directory.open()) return system_error(errno, directory);
    path = "/proc/self/fd/" + std::to_string(out.directory.get()) + "/" +
           name.substr(slash == std::string::npos ? 0 : slash + 1);
  }
  const std::size_t limit = sizeof out.address.sun_path - (abstract ? 0 : 1);
  if (path.empty() || path.size() > limit) return Error{ENAMETOOLONG, "the name of the socket is empty or too long"};
  std::memcpy(out.address.sun_path, path.data(), path.size());
  if (abstract) out.address.sun_path[0] = '\0';
  out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
  return out;
}

namespace {

Result<ucred> peer_of(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return system_error(errno, "cannot ask for the peer");
  return peer;
}

}  // namespace

Result<uid_t> peer_uid(int fd) {
  const Result<ucred> peer = peer_of(fd);
  if (!peer.ok()) return peer.error();
  return peer.value().uid;
}

Result<pid_t> peer_pid(int fd) {
  const Result<ucred> peer = peer_of(fd);
  if (!peer.ok()) return peer.error();
  return peer.value().pid;
}

}  // namespace shoal::reactor
