#include "app/haproxy_look.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "reactor/fd.h"

namespace shoal::app {
namespace {

using Answer = HaproxyLook::Answer;

/// A socket of our own in the place of HAProxy's, and one look at it.
struct Stage {
  Stage() {
    REQUIRE(::mkdtemp(directory) != nullptr);
    path = std::string(directory) + "/s";
    socket.name = socket.text = path;
  }
  ~Stage() {
    ::unlink(path.c_str());
    ::rmdir(directory);
  }

  void listen() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    listener.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener.get(), 4) == 0);
  }
  std::string accept_and_read() {
    peer.reset(::accept(listener.get(), nullptr, nullptr));
    REQUIRE(peer.open());
    char line[64];
    const ssize_t size = ::read(peer.get(), line, sizeof line);
    return {line, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }
  void say(std::string_view text) { REQUIRE(::write(peer.get(), text.data(), text.size()) > 0); }

  void start() {
    look.emplace(loop, socket, [this](Answer what, pid_t who) {
      answer = what;
      pid = who;
      loop.stop();
    });
    look->start();
    CHECK_FALSE(answer.has_value());  // Never inside the call.
  }
  Answer told() {
    if (!answer) loop.run();
    REQUIRE(answer.has_value());
    return *answer;
  }

  char directory[32] = "/tmp/shoal-look-XXXXXX";
  std::string path;
  config::RuntimeSocket socket;
  reactor::Loop loop;
  reactor::OwnedFd listener, peer;
  std::optional<HaproxyLook> look;
  std::optional<Answer> answer;
  pid_t pid = -1;
};

TEST_CASE("the pid is found in a whole line of its own") {
  CHECK(pid_in_info("Name: HAProxy\nPid: 4711\nUptime: 0d\n") == 4711);
  CHECK(pid_in_info("Pid: 47") == 0);  // The number may go on.
  CHECK(pid_in_info("Xpid: 1\nPid:2\nPid: x\n") == 0);
  CHECK(pid_in_info("Pid: 0\n") == 0);
  CHECK(pid_in_info("Pid: 99999999999\n") == 0);
  CHECK(pid_in_info("") == 0);
}

TEST_CASE("no socket, and a socket that nobody listens on any more, is nobody") {
  Stage none;
  none.start();
  CHECK(none.told() == Answer::kNobody);
  Stage stale;
  stale.listen();
  stale.listener.reset();
  stale.start();
  CHECK(stale.told() == Answer::kNobody);
}

TEST_CASE("an answer in pieces is read to its pid, whether the connection is closed behind it or not") {
  Stage s;
  s.listen();
  s.start();
  CHECK(s.accept_and_read() == "show info\n");
  s.say("Name: HAProxy\nPid: 12");
  s.say("3\nUptime");
  CHECK(s.told() == Answer::kHaproxy);
  CHECK(s.pid == 123);
}

TEST_CASE("a master is asked for its worker") {
  Stage s;
  s.socket.is_master = true;
  s.listen();
  s.start();
  CHECK(s.accept_and_read() == "@1 show info\n");
  s.say("Pid: 5\n");
  CHECK(s.told() == Answer::kHaproxy);
}

TEST_CASE("who closes without an answer, or gives another one, or none in time, is silent") {
  Stage closes;
  closes.listen();
  closes.start();
  closes.accept_and_read();
  closes.peer.reset();
  CHECK(closes.told() == Answer::kSilent);
  Stage other;
  other.listen();
  other.start();
  other.accept_and_read();
  other.say("HTTP/1.1 400 Bad Request\r\n\r\n");
  other.peer.reset();
  CHECK(other.told() == Answer::kSilent);
  Stage hangs;
  hangs.listen();
  hangs.start();
  CHECK(hangs.told() == Answer::kSilent);
}

}  // namespace
}  // namespace shoal::app
