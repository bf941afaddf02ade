#include "reactor/udp_socket.h"

#include <doctest/doctest.h>

#include <string>

#include "allocations.h"
#include "test_loop.h"

namespace shoal::reactor {
namespace {

const Endpoint kV4{IpAddress::v4(127, 0, 0, 1), 0};

TEST_CASE("ten thousand datagrams are echoed without an allocation") {
  TestLoop t;
  int echoed = 0;
  std::uint8_t payload[1400] = {7};
  UdpSocket server(t.loop, [&](const Endpoint& from, Bytes bytes) { server.try_send(from, bytes); });
  REQUIRE(server.bind(kV4).ok());
  std::size_t before = 0;
  std::size_t after = 0;
  constexpr int kWarmUp = 100;
  constexpr int kCount = 10'000;
  Timer deadline(t.loop, [] {});  // Re-armed with every datagram, as a core's is.
  UdpSocket client(t.loop, [&](const Endpoint& from, Bytes bytes) {
    if (bytes.size() != sizeof payload || from != server.local()) return;
    ++echoed;
    if (echoed == kWarmUp) before = allocations();
    if (echoed == kWarmUp + kCount) {
      after = allocations();
      return;
    }
    deadline.at(t.loop.now() + 1ms);
    client.try_send(server.local(), payload);
  });
  REQUIRE(client.bind(kV4).ok());
  client.try_send(server.local(), payload);
  REQUIRE(t.run_until([&] { return after != 0; }, 10s));
  CHECK(after - before == 0);
  CHECK(client.counters().send_dropped == 0);
  CHECK(server.counters().received == kWarmUp + kCount);
}

TEST_CASE("a dual-stack socket talks to v4 peers under 4-byte addresses and to v6 peers") {
  TestLoop t;
  Endpoint seen{};
  UdpSocket both(t.loop, [&](const Endpoint& from, Bytes bytes) {
    seen = from;
    both.try_send(from, bytes);
  });
  const Result<Endpoint> bound = both.bind({*IpAddress::parse("::"), 0});
  if (!bound.ok()) {
    MESSAGE("no IPv6 here: " << bound.error().message);
    return;
  }
  int answers = 0;
  UdpSocket v4(t.loop, [&](const Endpoint&, Bytes) { ++answers; });
  REQUIRE(v4.bind(kV4).ok());
  v4.try_send({kV4.addr, bound.value().port}, as_bytes("hello"));
  REQUIRE(t.run_until([&] { return answers == 1; }));
  CHECK(seen == v4.local());
  CHECK(seen.addr.raw().size() == 4);

  UdpSocket v6(t.loop, [&](const Endpoint&, Bytes) { ++answers; });
  REQUIRE(v6.bind({*IpAddress::parse("::1"), 0}).ok());
  v6.try_send({*IpAddress::parse("::1"), bound.value().port}, as_bytes("hello"));
  REQUIRE(t.run_until([&] { return answers == 2; }));
  CHECK(seen == v6.local());
}

TEST_CASE("a datagram that cannot be sent is dropped and counted, and the socket lives on") {
  TestLoop t;
  int received = 0;
  UdpSocket udp(t.loop, [&](const Endpoint&, Bytes bytes) { received += bytes.size() == 3 ? 1 : 0; });
  REQUIRE(udp.bind(kV4).ok());
  CHECK(!udp.try_send({*IpAddress::parse("2001:db8::1"), 9}, as_bytes("v6 from a v4 socket")));
  CHECK(!udp.try_send({kV4.addr, udp.local().port}, Bytes(Buffer(70'000).bytes())));
  CHECK(udp.counters().send_dropped == 2);
  // Nobody listens on the discard port: the refusal that comes back changes nothing.
  for (int i = 0; i < 3; ++i) udp.try_send({kV4.addr, 9}, as_bytes("x"));
  CHECK(udp.try_send(udp.local(), as_bytes("abc")));
  REQUIRE(t.run_until([&] { return received == 1; }));
}

TEST_CASE("the receive buffer is asked to be large, and the largest datagram arrives whole") {
  TestLoop t;
  std::size_t size = 0;
  UdpSocket udp(t.loop, [&](const Endpoint&, Bytes bytes) { size = bytes.size(); });
  REQUIRE(udp.bind(kV4).ok());
  CHECK(udp.receive_buffer_bytes() > 0);
  Buffer large(65'507);
  for (std::uint8_t& byte : large.bytes()) byte = 1;
  CHECK(udp.try_send(udp.local(), large.bytes()));
  REQUIRE(t.run_until([&] { return size == 65'507; }));
}

TEST_CASE("a v6-only socket leaves the port to a v4 socket, and neither hears the other's peers") {
  TestLoop t;
  int v6_heard = 0, v4_heard = 0;
  UdpSocket v6(t.loop, [&](const Endpoint&, Bytes) { ++v6_heard; });
  const Result<Endpoint> bound = v6.bind({*IpAddress::parse("::"), 0}, Families::kOwnOnly);
  if (!bound.ok()) {
    MESSAGE("no IPv6 here: " << bound.error().message);
    return;
  }
  UdpSocket v4(t.loop, [&](const Endpoint&, Bytes) { ++v4_heard; });
  REQUIRE(v4.bind({IpAddress::v4(0, 0, 0, 0), bound.value().port}).ok());
  CHECK(v4.try_send({IpAddress::v4(127, 0, 0, 1), bound.value().port}, as_bytes("4")));
  CHECK(v6.try_send({*IpAddress::parse("::1"), bound.value().port}, as_bytes("6")));
  CHECK(!v6.try_send({IpAddress::v4(127, 0, 0, 1), bound.value().port}, as_bytes("4 from a v6-only socket")));
  REQUIRE(t.run_until([&] { return v4_heard + v6_heard == 2; }));
  CHECK(v4_heard == 1);
  CHECK(v6_heard == 1);

  UdpSocket both(t.loop, [](const Endpoint&, Bytes) {});
  CHECK(!both.bind({*IpAddress::parse("::"), bound.value().port}).ok());
}

TEST_CASE("binding a taken port is an error that names the address and the fix") {
  TestLoop t;
  const auto ignore = [](const Endpoint&, Bytes) {};
  UdpSocket first(t.loop, ignore);
  REQUIRE(first.bind(kV4).ok());
  UdpSocket second(t.loop, ignore);
  const Result<Endpoint> bound = second.bind(first.local());
  REQUIRE(!bound.ok());
  CHECK(bound.error().message.find(to_text(first.local()).view()) != std::string::npos);
  CHECK(bound.error().message.find("another process has this port") != std::string::npos);
}

TEST_CASE("a handler may close its socket") {
  TestLoop t;
  int received = 0;
  UdpSocket udp(t.loop, [&](const Endpoint&, Bytes) {
    ++received;
    udp.close();
  });
  REQUIRE(udp.bind(kV4).ok());
  for (int i = 0; i < 3; ++i) udp.try_send(udp.local(), as_bytes("x"));
  t.run_for(50ms);
  CHECK(received == 1);
}

}  // namespace
}  // namespace shoal::reactor
