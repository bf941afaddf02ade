#include "reactor/notify_socket.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "test_loop.h"

namespace shoal::reactor {
namespace {

TEST_CASE("known lines are read, unknown ones skipped, and a status is cut and made printable") {
  const Notification n = parse_notification(as_bytes("READY=1\nMAINPID=7\nSTATUS=up\tand running\nSTOPPING=0\n"));
  CHECK(n.ready);
  CHECK(!n.stopping);
  CHECK(n.status == "up and running");
  CHECK(parse_notification(as_bytes("STOPPING=1")).stopping);
  CHECK(parse_notification(as_bytes("\n\nRELOADING=1")).reloading);
  CHECK(!parse_notification(as_bytes("READY=10\nXREADY=1\nready=1")).ready);
  CHECK(parse_notification(as_bytes("STATUS=" + std::string(1000, 'x'))).status.size() == 256);
}

TEST_CASE("a datagram to the announced name arrives with its sender's pid, and one that is too long does not") {
  TestLoop t;
  std::vector<Notification> seen;
  NotifySocket socket(t.loop, [&](const Notification& n) { seen.push_back(n); });
  REQUIRE(socket.open().ok());
  const std::string name = socket.name();
  REQUIRE(name.substr(0, 14) == "@shoal/notify/");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data() + 1, name.size() - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  const auto send = [&](const std::string& text) {
    CHECK(::sendto(fd, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&address), length) ==
          static_cast<ssize_t>(text.size()));
  };
  send("STATUS=" + std::string(5000, 'x') + "\nREADY=1");
  send("READY=1\nSTATUS=here");
  REQUIRE(t.run_until([&] { return !seen.empty(); }));
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].ready);
  CHECK(seen[0].status == "here");
  CHECK(seen[0].sender_pid == ::getpid());
  CHECK(seen[0].sender_uid == ::getuid());
  CHECK(socket.dropped() == 1);
  ::close(fd);
}

}  // namespace
}  // namespace shoal::reactor
