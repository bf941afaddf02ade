#include "reactor/socket_lock.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>

#include "test_directory.h"

namespace shoal::reactor {
namespace {

std::string own_name(const char* what) { return std::string(what) + std::to_string(::getpid()); }

TEST_CASE("a socket has one driver; the second is told who it is, and has it when the first is gone") {
  const TestDirectory directory;
  const std::string path = directory.path() + "/admin.sock";
  auto first = std::make_unique<SocketLock>(path, path, "shoal sidecar proxy-1, pid 77");
  SocketLock second(path, path, "shoal sidecar proxy-2, pid 78");
  CHECK(first->try_lock());
  CHECK(first->try_lock());
  CHECK(!second.try_lock());
  CHECK(second.holder() == "shoal sidecar proxy-1, pid 77");
  first.reset();
  CHECK(second.try_lock());
  CHECK(second.holder().empty());
  std::ostringstream text;
  text << std::ifstream(SocketLock::file_of(path)).rdbuf();
  CHECK(text.str() == "shoal sidecar proxy-2, pid 78\n");
}

TEST_CASE("where no file can be made the abstract name alone keeps a second one away") {
  const std::string path = "/nonexistent-" + std::to_string(::getpid()) + "/admin.sock";
  for (const std::string& file : {path, std::string()}) {
    auto first = std::make_unique<SocketLock>(file, own_name("ipv4@127.0.0.1:9999"), "first");
    SocketLock second(file, own_name("ipv4@127.0.0.1:9999"), "second");
    CHECK(first->try_lock());
    CHECK(!second.try_lock());
    CHECK(second.holder() == "process " + std::to_string(::getpid()));
    first.reset();
    CHECK(second.try_lock());
  }
}

TEST_CASE("two ways to write a path are one socket, two sockets are two") {
  const TestDirectory directory;
  ::mkdir((directory.path() + "/d").c_str(), 0700);
  SocketLock first(directory.path() + "/a.sock", "", "first");
  SocketLock same(directory.path() + "/d/../a.sock", "", "second");
  SocketLock other(directory.path() + "/b.sock", "", "third");
  CHECK(first.try_lock());
  CHECK(!same.try_lock());
  CHECK(other.try_lock());
}

TEST_CASE("a lock file that is a link, or says nonsense, is neither followed nor repeated as it is") {
  const TestDirectory directory;
  const std::string path = directory.path() + "/admin.sock";
  const std::string victim = directory.path() + "/victim";
  std::ofstream(victim) << "keep";
  REQUIRE(::symlink(victim.c_str(), SocketLock::file_of(path).c_str()) == 0);
  {
    SocketLock lock(path, "", "me");
    CHECK(lock.try_lock());  // By its name.
    std::ostringstream text;
    text << std::ifstream(victim).rdbuf();
    CHECK(text.str() == "keep");
  }
  REQUIRE(::unlink(SocketLock::file_of(path).c_str()) == 0);
  SocketLock first(path, "", "a\x1b[31mb");
  SocketLock second(path, "", "me");
  CHECK(first.try_lock());
  CHECK(!second.try_lock());
  CHECK(second.holder() == "a?[31mb");
}

}  // namespace
}  // namespace shoal::reactor
