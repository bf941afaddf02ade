#include "reactor/unix_stream.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "test_loop.h"

namespace shoal::reactor {
namespace {

// A listening socket below a fresh directory. A long path is bound from inside its directory.
struct Server {
  explicit Server(std::size_t name_bytes = 8) {
    char pattern[] = "/tmp/shoal-unix-test-XXXXXX";
    directory = ::mkdtemp(pattern);
    std::string deep = directory;
    while (deep.size() + 20 < name_bytes) {
      deep += "/directory-with-a-name";
      ::mkdir(deep.c_str(), 0700);
    }
    path = deep + "/s.sock";
    const int back = ::open(".", O_PATH);
    REQUIRE(::chdir(deep.c_str()) == 0);
    fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, "s.sock");
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd, 1) == 0);
    REQUIRE(::fchdir(back) == 0);
    ::close(back);
  }
  ~Server() {
    ::close(fd);
    (void)!std::system(("rm -rf " + directory).c_str());
  }
  std::string directory;
  std::string path;
  int fd;
};

struct Recorder : UnixStreamHandler {
  void on_bytes(Bytes bytes) override { text += as_text(bytes); }
  void on_closed(const Error& why) override {
    ++closed;
    reason = why.message;
  }
  std::string text;
  int closed = 0;
  std::string reason;
};

TEST_CASE("bytes go both ways, and the other side's close is told after its last words") {
  TestLoop t;
  Server server;
  Recorder seen;
  UnixStream stream(t.loop, seen);
  const Result<void> connected = stream.connect(server.path);
  REQUIRE(connected.ok());
  CHECK(stream.write(as_bytes("show info\n")));
  const int peer = ::accept(server.fd, nullptr, nullptr);
  char buffer[64];
  CHECK(::read(peer, buffer, sizeof buffer) == 10);
  CHECK(::write(peer, "bye", 3) == 3);
  ::close(peer);
  CHECK(seen.closed == 0);
  REQUIRE(t.run_until([&] { return seen.closed == 1; }));
  CHECK(seen.text == "bye");
  CHECK(!stream.is_open());
  CHECK(seen.reason.find(server.path) != std::string::npos);
}

TEST_CASE("a path longer than an address holds is reached all the same") {
  TestLoop t;
  Server server(300);
  REQUIRE(server.path.size() > 200);
  Recorder seen;
  UnixStream stream(t.loop, seen);
  const Result<void> connected = stream.connect(server.path);
  CHECK(connected.ok());
  const int peer = ::accept(server.fd, nullptr, nullptr);
  CHECK(peer >= 0);
  ::close(peer);
}

TEST_CASE("writes queue up to the buffer, a write that does not fit is refused whole, and the rest arrives in order") {
  TestLoop t;
  Server server;
  Recorder seen;
  UnixStream stream(t.loop, seen, UnixStream::Options{.write_buffer_bytes = 64 * 1024});
  REQUIRE(stream.connect(server.path).ok());
  const int peer = ::accept(server.fd, nullptr, nullptr);
  ::fcntl(peer, F_SETFL, O_NONBLOCK);
  std::size_t accepted = 0;
  char block[1000];
  for (int i = 0;; ++i) {
    std::memset(block, 'a' + i % 26, sizeof block);
    if (!stream.write(as_bytes({block, sizeof block}))) break;
    accepted += sizeof block;
    REQUIRE(i < 10'000);
  }
  CHECK(stream.unsent() > 60 * 1024);
  CHECK(stream.unsent() <= 64 * 1024);
  std::size_t read = 0;
  bool in_order = true;
  REQUIRE(t.run_until([&] {
    char buffer[4096];
    for (ssize_t size; (size = ::read(peer, buffer, sizeof buffer)) > 0;) {
      for (ssize_t i = 0; i < size; ++i, ++read) {
        in_order = in_order && buffer[i] == static_cast<char>('a' + read / sizeof block % 26);
      }
    }
    return read == accepted;
  }));
  CHECK(in_order);
  CHECK(stream.unsent() == 0);
  CHECK(stream.write(as_bytes("room again")));
  ::close(peer);
}

TEST_CASE("why a connect failed is said in words, with the path") {
  TestLoop t;
  Recorder seen;
  UnixStream stream(t.loop, seen);
  const auto failure = [&](const std::string& path) {
    const Result<void> connected = stream.connect(path);
    REQUIRE(!connected.ok());
    CHECK(!stream.is_open());
    CHECK(connected.error().message.find(path) != std::string::npos);
    return connected.error();
  };
  CHECK(failure("/tmp/shoal-no-such.sock").code == ENOENT);
  CHECK(failure("/tmp/shoal-no-such.sock").message.find("is the path right") != std::string::npos);
  CHECK(failure("@shoal-no-such-name").code == ECONNREFUSED);
  {
    Server server;
    ::close(server.fd);
    const Error error = failure(server.path);
    server.fd = -1;
    CHECK(error.code == ECONNREFUSED);
    CHECK(error.message.find("nobody listens") != std::string::npos);
  }
  Server busy;
  Recorder others;
  UnixStream first(t.loop, others);
  UnixStream second(t.loop, others);
  REQUIRE(first.connect(busy.path).ok());
  REQUIRE(second.connect(busy.path).ok());
  CHECK(failure(busy.path).code == EAGAIN);  // A queue of one holds two; nobody accepts.
  if (::geteuid() != 0) return;
  Server closed_door;
  ::chmod(closed_door.path.c_str(), 0600);
  ::chmod(closed_door.directory.c_str(), 0755);
  REQUIRE(::seteuid(65534) == 0);
  const Result<void> denied = stream.connect(closed_door.path);
  REQUIRE(::seteuid(0) == 0);
  REQUIRE(!denied.ok());
  CHECK(denied.error().code == EACCES);
  CHECK(denied.error().message.find("mode or owner") != std::string::npos);
}

TEST_CASE("a handler may connect again inside on_closed") {
  struct Again : UnixStreamHandler {
    void on_bytes(Bytes) override {}
    void on_closed(const Error&) override { reconnected = stream->connect(path).ok(); }
    UnixStream* stream = nullptr;
    std::string path;
    bool reconnected = false;
  };
  TestLoop t;
  Server server;
  Again again;
  UnixStream stream(t.loop, again);
  again.stream = &stream;
  again.path = server.path;
  REQUIRE(stream.connect(server.path).ok());
  ::close(::accept(server.fd, nullptr, nullptr));
  REQUIRE(t.run_until([&] { return again.reconnected; }));
  CHECK(stream.is_open());
}

}  // namespace
}  // namespace shoal::reactor
