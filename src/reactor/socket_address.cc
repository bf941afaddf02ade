#include "reactor/socket_address.h"

#include <netinet/in.h>

#include <cerrno>
#include <cstring>

namespace shoal::reactor {

int family_of(const IpAddress& address) { return address.is_v4() ? AF_INET : AF_INET6; }

SocketAddress to_socket_address(const Endpoint& endpoint, int family) {
  SocketAddress out;
  const IpAddress plain = endpoint.addr.unmapped();
  const Bytes raw = plain.raw();
  if (family == AF_INET) {
    if (raw.size() != 4) return out;
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, raw.data(), 4);
    std::memcpy(&out.storage, &v4, sizeof v4);
    out.size = sizeof v4;
    return out;
  }
  if (raw.empty()) return out;
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  if (raw.size() == 4) {
    v6.sin6_addr.s6_addr[10] = 0xff;
    v6.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(v6.sin6_addr.s6_addr + 12, raw.data(), 4);
  } else {
    std::memcpy(v6.sin6_addr.s6_addr, raw.data(), 16);
  }
  std::memcpy(&out.storage, &v6, sizeof v6);
  out.size = sizeof v6;
  return out;
}

Endpoint from_socket_address(const sockaddr_storage& storage) {
  Endpoint out;
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &storage, sizeof v4);
    out.port = ntohs(v4.sin_port);
    out.addr = *IpAddress::from_raw({reinterpret_cast<const std::uint8_t*>(&v4.sin_addr), 4});
  } else if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &storage, sizeof v6);
    out.port = ntohs(v6.sin6_port);
    out.addr = IpAddress::from_raw({v6.sin6_addr.s6_addr, 16})->unmapped();
  }
  return out;
}

Endpoint bound_endpoint(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return from_socket_address(storage);
}

namespace {

const char* advice_for_bind(int code) {
  switch (code) {
    case EADDRINUSE: return "; another process has this port: choose another, or 0 for any free one";
    case EADDRNOTAVAIL: return "; this machine does not have that address";
    case EACCES: return "; ports below 1024 need a privilege: choose a higher one";
    case EAFNOSUPPORT: return "; this machine has no such address family: bind a v4 address such as 0.0.0.0";
    default: return "";
  }
}

}  // namespace

Result<OwnedFd> bind_socket(const Endpoint& local, const BindOptions& options) {
  const auto fail = [&](int code) {
    Error error =
        system_error(code, std::string("cannot bind ") + options.what + " to " + std::string(to_text(local).view()));
    error.message += advice_for_bind(code);
    return error;
  };
  if (local.addr.empty()) return fail(EADDRNOTAVAIL);
  const int family = family_of(local.addr);
  OwnedFd fd(::socket(family, options.type | SOCK_CLOEXEC, 0));
  if (!fd.open()) return fail(errno);
  const int on = 1;
  const int only_v6 = options.families == Families::kOwnOnly ? 1 : 0;
  if (options.reuse_address) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // Said explicitly, since the machine's default (bindv6only) may be either.
  if (family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
  const SocketAddress address = to_socket_address(local, family);
  if (::bind(fd.get(), address.get(), address.size) != 0) return fail(errno);
  return fd;
}

Error system_error(int code, std::string doing) {
  const char* name = ::strerrorname_np(code);
  doing += ": ";
  doing += ::strerror(code);
  if (name != nullptr) doing += std::string(" (") + name + ")";
  return {code, std::move(doing)};
}

}  // namespace shoal::reactor
