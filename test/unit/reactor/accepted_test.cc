#include "reactor/accepted.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "reactor/fd.h"
#include "reactor/listener.h"
#include "reactor/socket_address.h"

namespace shoal::reactor {
namespace {

OwnedFd connected_to(const Endpoint& server) {
  const int family = family_of(server.addr);
  OwnedFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress to = to_socket_address(server, family);
  REQUIRE(::connect(fd.get(), to.get(), to.size) == 0);
  return fd;
}

TEST_CASE("a connection waits until it is accepted") {
  for (const char* address : {"127.0.0.1", "::1"}) {
    CAPTURE(address);
    auto listener = listen_service({*IpAddress::parse(address), 0}, 16);
    REQUIRE(listener.ok());
    const Endpoint server = listener->bound;
    const OwnedFd first = connected_to(server);
    const OwnedFd second = connected_to(server);
    const Endpoint one = bound_endpoint(first.get());
    const Endpoint two = bound_endpoint(second.get());
    if (accepted(server, one) == Accepted::kUnknown) return;  // A kernel or a sandbox without sock_diag.
    CHECK(accepted(server, one) == Accepted::kWaiting);
    CHECK(accepted(server, two) == Accepted::kWaiting);
    const OwnedFd taken(::accept4(listener->fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    CHECK(accepted(server, one) == Accepted::kTaken);
    struct stat status {};
    REQUIRE(::fstat(taken.get(), &status) == 0);
    CHECK(accepted_socket(server, one).inode == status.st_ino);
    CHECK(accepted_socket(server, two).inode == 0);
    CHECK(accepted(server, two) == Accepted::kWaiting);
    CHECK(accepted(server, {one.addr, 1}) == Accepted::kGone);
    CHECK(accepted({server.addr, 1}, one) == Accepted::kGone);
  }
}

TEST_CASE("a connection that was accepted and closed is not one that waits") {
  auto listener = listen_service({IpAddress::v4(127, 0, 0, 1), 0}, 16);
  REQUIRE(listener.ok());
  const OwnedFd client = connected_to(listener->bound);
  OwnedFd(::accept4(listener->fd.get(), nullptr, nullptr, SOCK_CLOEXEC)).reset();
  const Accepted now = accepted(listener->bound, bound_endpoint(client.get()));
  CHECK(now != Accepted::kWaiting);
}

}  // namespace
}  // namespace shoal::reactor
