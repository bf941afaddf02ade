#include "reactor/client_stream.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
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

struct Recorder : ClientStreamHandler {
  void on_opened() override { ++opened; }
  void on_bytes(Bytes bytes) override { text += as_text(bytes); }
  void on_closed(const Error& why) override {
    ++closed;
    reason = why.message;
  }
  std::string text;
  int opened = 0;
  int closed = 0;
  std::string reason;
};

// Listens on a free port of loopback.
struct TcpServer {
  TcpServer() : fd(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(fd, 4) == 0);
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    place = Endpoint{IpAddress::v4(127, 0, 0, 1), ntohs(address.sin_port)};
  }
  ~TcpServer() { ::close(fd); }
  int fd;
  Endpoint place;
};

TEST_CASE("bytes go both ways, and the other side's close is told after its last words") {
  TestLoop t;
  Server server;
  Recorder seen;
  ClientStream stream(t.loop, seen);
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
  ClientStream stream(t.loop, seen);
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
  ClientStream stream(t.loop, seen, ClientStream::Options{.write_buffer_bytes = 64 * 1024});
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
  ClientStream stream(t.loop, seen);
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
  CHECK(failure("/tmp").message.find("no socket but a file or a directory") != std::string::npos);
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
  ClientStream first(t.loop, others);
  ClientStream second(t.loop, others);
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
  struct Again : ClientStreamHandler {
    void on_bytes(Bytes) override {}
    void on_closed(const Error&) override { reconnected = stream->connect(path).ok(); }
    ClientStream* stream = nullptr;
    std::string path;
    bool reconnected = false;
  };
  TestLoop t;
  Server server;
  Again again;
  ClientStream stream(t.loop, again);
  again.stream = &stream;
  again.path = server.path;
  REQUIRE(stream.connect(server.path).ok());
  ::close(::accept(server.fd, nullptr, nullptr));
  REQUIRE(t.run_until([&] { return again.reconnected; }));
  CHECK(stream.is_open());
}

TEST_CASE("a TCP connection is told when it is made, never inside the call, and then carries bytes both ways") {
  TestLoop t;
  TcpServer server;
  Recorder seen;
  ClientStream stream(t.loop, seen);
  REQUIRE(stream.connect(server.place).ok());
  CHECK(seen.opened == 0);
  REQUIRE(t.run_until([&] { return seen.opened == 1; }));
  CHECK(stream.write(as_bytes("prompt\n")));
  const int peer = ::accept(server.fd, nullptr, nullptr);
  char buffer[64];
  CHECK(::read(peer, buffer, sizeof buffer) == 7);
  CHECK(::write(peer, "> ", 2) == 2);
  ::close(peer);
  REQUIRE(t.run_until([&] { return seen.closed == 1; }));
  CHECK(seen.text == "> ");
}

TEST_CASE("a TCP connection that is refused is told with its address and what to look at") {
  TestLoop t;
  Endpoint place;
  {
    TcpServer gone;
    place = gone.place;
  }
  Recorder seen;
  ClientStream stream(t.loop, seen);
  REQUIRE(stream.connect(place).ok());
  REQUIRE(t.run_until([&] { return seen.closed == 1; }));
  CHECK(seen.opened == 0);
  CHECK(!stream.is_open());
  CHECK(seen.reason.find(to_text(place).view()) != std::string::npos);
  CHECK(seen.reason.find("nobody listens there") != std::string::npos);
}

TEST_CASE("an abstract name is found as it is, or filled up with NULs as HAProxy binds its own") {
  TestLoop t;
  const std::string name = "@shoal-test-" + std::to_string(::getpid());
  for (const bool padded : {false, true}) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    address.sun_path[0] = '\0';
    const auto used = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const socklen_t size = padded ? socklen_t{sizeof address} : used;
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(fd, 4) == 0);
    Recorder seen;
    ClientStream stream(t.loop, seen);
    CHECK(stream.connect(name, padded).ok());
    ClientStream other(t.loop, seen);
    CHECK(!other.connect(name, !padded).ok());
    ::close(fd);
  }
}

TEST_CASE("another stream goes on with a connection, and what comes from then on is told to its own handler") {
  TestLoop t;
  Server server;
  Recorder first;
  Recorder second;
  ClientStream from(t.loop, first);
  ClientStream to(t.loop, second);
  REQUIRE(from.connect(server.path).ok());
  const int peer = ::accept(server.fd, nullptr, nullptr);
  REQUIRE(to.take_over(from).ok());
  CHECK(!from.is_open());
  REQUIRE(from.connect(server.path).ok());  // Free for the next one at once.
  CHECK(to.write(as_bytes("hello")));
  char buffer[64];
  CHECK(::read(peer, buffer, sizeof buffer) == 5);
  CHECK(::write(peer, "yes", 3) == 3);
  ::close(peer);
  REQUIRE(t.run_until([&] { return second.closed == 1; }));
  CHECK(second.text == "yes");
  CHECK(first.text.empty());
  CHECK(first.closed == 0);
  CHECK(from.is_open());
}

}  // namespace
}  // namespace shoal::reactor
