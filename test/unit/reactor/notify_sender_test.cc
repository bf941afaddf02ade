#include "reactor/notify_sender.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "reactor/unix_address.h"
#include "test_directory.h"

namespace shoal::reactor {
namespace {

/// A service manager's end.
struct Manager {
  explicit Manager(const std::string& name) : fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    const auto address = to_unix_address(name);
    REQUIRE(address.ok());
    REQUIRE(::bind(fd.get(), address.value().get(), address.value().size) == 0);
  }
  std::string take() const {
    char text[100];
    const ssize_t size = ::recv(fd.get(), text, sizeof text, 0);
    return size < 0 ? "" : std::string(text, static_cast<std::size_t>(size));
  }
  OwnedFd fd;
};

}  // namespace

TEST_CASE("a datagram reaches a path of any length and an abstract name") {
  const TestDirectory directory;
  const std::string deep = directory / std::string(120, 'd');
  REQUIRE(::mkdir(deep.c_str(), 0700) == 0);
  for (const std::string& name :
       {directory / "notify", deep + "/notify", "@shoal-unit-notify/" + std::to_string(::getpid())}) {
    CAPTURE(name);
    const Manager manager(name);
    NotifySender sender;
    REQUIRE(sender.open(name).ok());
    CHECK(sender.send("READY=1\n").ok());
    CHECK(manager.take() == "READY=1\n");
  }
}

TEST_CASE("a manager that is away, or behind, is an error and not a wait; it is reached when it is there") {
  const TestDirectory directory;
  const std::string name = directory / "notify";
  NotifySender sender;
  REQUIRE(sender.open(name).ok());
  CHECK(sender.send("a").error().code == ENOENT);
  {
    const Manager manager(name);
    int sent = 0;
    while (sender.send("b").ok()) ++sent;
    CHECK(sent > 0);
    CHECK(sender.send("b").error().code == EAGAIN);
    CHECK(manager.take() == "b");
    CHECK(sender.send("c").ok());
  }
  CHECK(sender.send("d").error().code == ECONNREFUSED);
  ::unlink(name.c_str());
  const Manager next(name);  // Bound anew.
  CHECK(sender.send("e").ok());
  CHECK(next.take() == "e");
}

TEST_CASE("what is neither a path nor an abstract name is refused by its name") {
  for (const char* bad : {"", "relative", "vsock:2:1", "127.0.0.1:1"}) {
    NotifySender sender;
    const auto opened = sender.open(bad);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().message.find(bad) != std::string::npos);
    CHECK_FALSE(sender.is_open());
  }
  NotifySender sender;
  CHECK_FALSE(sender.open("@" + std::string(200, 'x')).ok());
}

}  // namespace shoal::reactor
