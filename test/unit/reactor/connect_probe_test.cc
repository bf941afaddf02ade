#include "reactor/connect_probe.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>

#include "reactor/listener.h"
#include "reactor/socket_address.h"
#include "test_loop.h"

namespace shoal::reactor {
namespace {

const Endpoint kAnyPort{IpAddress::v4(127, 0, 0, 1), 0};

struct Probing {
  TestLoop t;
  std::map<std::uint64_t, ProbeResult> results;
  ConnectProbes probes{t.loop, [this](std::uint64_t token, const Endpoint&, ProbeResult r) { results[token] = r; }, 4};
  [[nodiscard]] Instant in(Duration d) { return t.loop.now() + d; }
};

TEST_CASE("connected, refused, timed out and unreachable are told apart") {
  Probing p;
  const Result<ServiceListener> open = listen_service(kAnyPort, 8);
  REQUIRE(open.ok());
  Endpoint refused;
  {
    const Result<ServiceListener> gone = listen_service(kAnyPort, 8);
    REQUIRE(gone.ok());
    refused = gone.value().bound;
  }
  // A full accept queue: the kernel drops the SYN, as a host that is down does. A queue of 0 holds one.
  const Result<ServiceListener> full = listen_service(kAnyPort, 0);
  REQUIRE(full.ok());
  REQUIRE(p.probes.start(1, full.value().bound, p.in(1s)));
  REQUIRE(p.t.run_until([&] { return p.results.count(1) == 1; }));
  CHECK(p.results[1] == ProbeResult::kConnected);

  const Instant start = p.t.loop.now();
  REQUIRE(p.probes.start(2, open.value().bound, p.in(1s)));
  REQUIRE(p.probes.start(3, refused, p.in(1s)));
  REQUIRE(p.probes.start(4, full.value().bound, p.in(100ms)));
  REQUIRE(p.probes.start(5, {IpAddress{}, 80}, p.in(1s)));
  CHECK(p.probes.full());
  CHECK(!p.probes.start(6, open.value().bound, p.in(1s)));
  CHECK(p.results.size() == 1);  // Nothing is told inside start.
  REQUIRE(p.t.run_until([&] { return p.results.size() == 5; }));
  CHECK(p.results[2] == ProbeResult::kConnected);
  CHECK(p.results[3] == ProbeResult::kRefused);
  CHECK(p.results[4] == ProbeResult::kTimedOut);
  CHECK(p.results[5] == ProbeResult::kUnreachable);
  CHECK(p.t.loop.now() - start >= 100ms);
  CHECK(p.t.loop.now() - start < 1s);
  CHECK(p.probes.in_use() == 0);
}

TEST_CASE("a cancelled probe gives no answer and frees its place") {
  Probing p;
  const Result<ServiceListener> open = listen_service(kAnyPort, 8);
  REQUIRE(open.ok());
  for (std::uint64_t token = 1; token <= 4; ++token) REQUIRE(p.probes.start(token, open.value().bound, p.in(1s)));
  p.probes.cancel(2);
  CHECK(p.probes.in_use() == 3);
  CHECK(p.probes.start(5, open.value().bound, p.in(1s)));
  REQUIRE(p.t.run_until([&] { return p.results.size() == 4; }));
  CHECK(p.results.count(2) == 0);
}

TEST_CASE("the accept queue tells how many wait, and whether they are deferred") {
  Probing p;
  const Result<ServiceListener> listener = listen_service(kAnyPort, 8);
  REQUIRE(listener.ok());
  const int fd = listener.value().fd.get();
  REQUIRE(accept_queue(fd).has_value());
  CHECK(accept_queue(fd)->depth == 0);
  CHECK(accept_queue(fd)->limit == 8);
  REQUIRE(p.probes.start(1, listener.value().bound, p.in(1s)));
  REQUIRE(p.t.run_until([&] { return p.results.size() == 1; }));
  CHECK(accept_queue(fd)->depth == 1);  // Also after the probe has closed, until somebody accepts.
  ::close(::accept(fd, nullptr, nullptr));
  CHECK(accept_queue(fd)->depth == 0);
  CHECK(!accept_queue(0).has_value());

  CHECK(!has_defer_accept(fd));
  const int seconds = 5;
  ::setsockopt(fd, 6 /* IPPROTO_TCP */, 9 /* TCP_DEFER_ACCEPT */, &seconds, sizeof seconds);
  CHECK(has_defer_accept(fd));
}

TEST_CASE("a taken service port is refused with the fix; a reserved one can be bound by a worker that shares") {
  const Result<ServiceListener> first = listen_service(kAnyPort, 8);
  REQUIRE(first.ok());
  const Result<ServiceListener> second = listen_service(first.value().bound, 8);
  REQUIRE(!second.ok());
  CHECK(second.error().message.find("another process has this port") != std::string::npos);

  const Result<ServiceListener> reserved = reserve_port(kAnyPort);
  REQUIRE(reserved.ok());
  CHECK(!accept_queue(reserved.value().fd.get()).has_value());
  CHECK(!reserve_port(reserved.value().bound).ok());  // Nobody listens there, and yet it is somebody's.
  {
    const OwnedFd rude(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // Without SO_REUSEADDR.
    const SocketAddress there = to_socket_address(reserved.value().bound, AF_INET);
    CHECK(::bind(rude.get(), there.get(), there.size) != 0);
  }
  const Result<ServiceListener> worker = listen_service(reserved.value().bound, 8);
  CHECK(worker.ok());
  CHECK(!reserve_port(reserved.value().bound).ok());
}

TEST_CASE("what a worker has left of its connections does not keep us from reserving its port again") {
  const Endpoint port = [] {
    const Result<ServiceListener> worker = listen_service(kAnyPort, 8);
    REQUIRE(worker.ok());
    const OwnedFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress there = to_socket_address(worker.value().bound, AF_INET);
    REQUIRE(::connect(client.get(), there.get(), there.size) == 0);
    ::close(::accept(worker.value().fd.get(), nullptr, nullptr));  // Who closes first keeps TIME_WAIT.
    return worker.value().bound;
  }();
  REQUIRE(!bind_socket(port, {.type = SOCK_STREAM}).ok());
  CHECK(reserve_port(port).ok());
}

}  // namespace
}  // namespace shoal::reactor
