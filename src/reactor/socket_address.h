// Between Endpoint and what the kernel wants. For this folder's .cc files.
#pragma once

#include <sys/socket.h>

#include <string>

#include "base/endpoint.h"
#include "base/result.h"
#include "reactor/families.h"
#include "reactor/fd.h"

namespace shoal::reactor {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;  // 0 = the endpoint cannot be said in this family.
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// AF_INET for v4 and v4-mapped addresses, else AF_INET6.
[[nodiscard]] int family_of(const IpAddress& address);
/// In the given family: v4 addresses become v4-mapped in AF_INET6; a v6 address has no form in AF_INET.
[[nodiscard]] SocketAddress to_socket_address(const Endpoint& endpoint, int family);
/// v4-mapped addresses become 4-byte ones. No address for any other family.
[[nodiscard]] Endpoint from_socket_address(const sockaddr_storage& storage);
/// What a socket is bound to.
[[nodiscard]] Endpoint bound_endpoint(int fd);

/// A close-on-exec socket bound to `local`. `what` names it in the error, with the likely fix.
struct BindOptions {
  int type = SOCK_STREAM;  // With SOCK_NONBLOCK where wanted.
  bool reuse_address = false;
  Families families = Families::kBoth;
  const char* what = "socket";
};
[[nodiscard]] Result<OwnedFd> bind_socket(const Endpoint& local, const BindOptions& options);

/// "doing: the system's words (NAME)".
[[nodiscard]] Error system_error(int code, std::string doing);

}  // namespace shoal::reactor
