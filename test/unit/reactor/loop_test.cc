#include "reactor/loop.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "reactor/udp_socket.h"
#include "test_loop.h"

namespace shoal::reactor {
namespace {

const Endpoint kAnyPort{IpAddress::v4(127, 0, 0, 1), 0};

TEST_CASE("timers fire in the order of their deadlines and never early") {
  TestLoop t;
  std::vector<int> order;
  std::vector<Duration> early;
  const Instant start = t.loop.now();
  Timer a(t.loop, [&] { order.push_back(1), early.push_back(a.deadline() == kNever ? 0ns : 1ns); });
  bool on_time = true;
  const auto check = [&](Instant deadline) { on_time = on_time && t.loop.now() >= deadline; };
  const Instant at_b = start + 20ms + 300us;
  const Instant at_c = start + 20ms + 100us;
  Timer b(t.loop, [&] { order.push_back(2), check(at_b); });
  Timer c(t.loop, [&] { order.push_back(3), check(at_c); });
  b.at(at_b);
  c.at(at_c);
  a.at(start + 40ms);
  REQUIRE(t.run_until([&] { return order.size() == 3; }));
  CHECK(order == std::vector<int>{3, 2, 1});
  CHECK(on_time);
  CHECK(early[0] == 0ns);  // Unarmed inside its own callback.
  CHECK(t.loop.now() - start < 1s);
}

TEST_CASE("a stopped or postponed timer does not fire at the old deadline") {
  TestLoop t;
  int stopped = 0;
  Instant fired{};
  Timer a(t.loop, [&] { ++stopped; });
  Timer b(t.loop, [&] { fired = t.loop.now(); });
  const Instant start = t.loop.now();
  a.at(start + 5ms);
  b.at(start + 5ms);
  a.stop();
  b.at(start + 60ms);
  REQUIRE(t.run_until([&] { return fired != Instant{}; }));
  CHECK(stopped == 0);
  CHECK(fired >= start + 60ms);
}

TEST_CASE("a timer that is always armed for the past does not starve the sockets") {
  TestLoop t;
  int received = 0;
  UdpSocket udp(t.loop, [&](const Endpoint&, Bytes) { ++received; });
  REQUIRE(udp.bind(kAnyPort).ok());
  int fired = 0;
  Timer greedy(t.loop, [&] {
    ++fired;
    greedy.at(Instant{} + 1ns);
  });
  greedy.at(Instant{} + 1ns);
  udp.try_send(udp.local(), as_bytes("x"));
  REQUIRE(t.run_until([&] { return received == 1 && fired > 3; }));
}

TEST_CASE("a posted function runs in the next turn, without a timer or a socket to wake the loop") {
  TestLoop t;
  int count = 0;
  std::function<void()> again = [&] {
    if (++count < 3) t.loop.post([&] { again(); });
  };
  t.loop.post([&] { again(); });
  const Instant start = t.loop.now();
  REQUIRE(t.run_until([&] { return count == 3; }));
  CHECK(t.loop.now() - start < 500ms);
}

TEST_CASE("the time stands still inside a callback and moves on before the next") {
  TestLoop t;
  Instant first{};
  Instant first_again{};
  Instant second{};
  t.loop.post([&] {
    first = t.loop.now();
    ::usleep(2000);
    first_again = t.loop.now();
  });
  t.loop.post([&] { second = t.loop.now(); });
  REQUIRE(t.run_until([&] { return second != Instant{}; }));
  CHECK(first == first_again);
  CHECK(second - first >= 2ms);
}

TEST_CASE("the end-of-turn hook runs after the callbacks of its turn") {
  Loop loop;
  std::vector<char> trace;
  loop.at_end_of_turn([&] { trace.push_back('h'); });
  loop.at_end_of_turn([&] {
    if (trace.size() > 3) loop.stop();
  });
  loop.post([&] { trace.push_back('p'); });
  Timer timer(loop, [&] { trace.push_back('t'); });
  timer.at(loop.now());
  loop.run();
  REQUIRE(trace.size() >= 4);
  CHECK(trace[0] == 'h');  // Once before the first sleep.
  // p in the first turn; t after one more look at the sockets.
  CHECK(trace[1] == 'p');
  CHECK(trace[2] == 'h');
  CHECK(trace[3] == 't');
}

TEST_CASE("after a long callback the sockets are read to the end before a timer fires") {
  TestLoop t;
  constexpr int kDatagrams = 3 * UdpSocket::kReadsPerTurn;
  int received = 0;
  int received_before_timer = -1;
  UdpSocket udp(t.loop, [&](const Endpoint&, Bytes) { ++received; });
  REQUIRE(udp.bind(kAnyPort).ok());
  Timer timer(t.loop, [&] { received_before_timer = received; });
  t.loop.post([&] {
    timer.at(t.loop.now() + 10ms);
    t.loop.post([&] {
      for (int i = 0; i < kDatagrams; ++i) udp.try_send(udp.local(), as_bytes("x"));
      ::usleep(700 * 1000);
    });
  });
  REQUIRE(t.run_until([&] { return received_before_timer >= 0; }));
  CHECK(received_before_timer == kDatagrams);
}

// The child listens with a timer of 200 ms, is stopped for longer than the freeze, and is sent datagrams meanwhile.
TEST_CASE("a process that was stopped hears its peers before its timers fire") {
  int to_parent[2];
  REQUIRE(::pipe(to_parent) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Loop loop;
    int received = 0;
    UdpSocket udp(loop, [&](const Endpoint&, Bytes) { ++received; });
    if (!udp.bind(kAnyPort).ok()) ::_exit(1);
    Timer timer(loop, [&] {
      const int result[2] = {received, static_cast<int>(loop.freezes())};
      (void)!::write(to_parent[1], result, sizeof result);
      ::_exit(0);
    });
    timer.at(loop.now() + 200ms);
    const std::uint16_t port = udp.local().port;
    (void)!::write(to_parent[1], &port, sizeof port);
    loop.run();
    ::_exit(1);
  }
  std::uint16_t port = 0;
  REQUIRE(::read(to_parent[0], &port, sizeof port) == sizeof port);
  ::usleep(50 * 1000);
  ::kill(child, SIGSTOP);
  {
    Loop loop;
    UdpSocket udp(loop, [](const Endpoint&, Bytes) {});
    REQUIRE(udp.bind(kAnyPort).ok());
    for (int i = 0; i < 150; ++i) udp.try_send({kAnyPort.addr, port}, as_bytes("alive"));
  }
  ::usleep(900 * 1000);
  ::kill(child, SIGCONT);
  int result[2] = {-1, -1};
  CHECK(::read(to_parent[0], result, sizeof result) == sizeof result);
  CHECK(result[0] == 150);
  CHECK(result[1] == 1);
  ::waitpid(child, nullptr, 0);
  ::close(to_parent[0]);
  ::close(to_parent[1]);
}

TEST_CASE("watches beyond the limit are refused with an error, and closed ones come back") {
  Loop loop(Loop::Options{.watches_max = 2});
  const auto ignore = [](const Endpoint&, Bytes) {};
  UdpSocket a(loop, ignore);
  UdpSocket b(loop, ignore);
  UdpSocket c(loop, ignore);
  CHECK(a.bind(kAnyPort).ok());
  CHECK(b.bind(kAnyPort).ok());
  CHECK(!c.bind(kAnyPort).ok());
  a.close();
  loop.post([&] { loop.stop(); });
  loop.run();  // libuv gives the memory back at the end of a turn.
  CHECK(c.bind(kAnyPort).ok());
}

}  // namespace
}  // namespace shoal::reactor
