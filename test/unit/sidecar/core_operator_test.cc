// What an operator sets by hand on HAProxy's socket.
#include <doctest/doctest.h>

#include "harness.h"

using namespace shoal;
using namespace shoal::sidecar;

namespace {

constexpr auto kConnected = VerifyResult::kConnected;

test::FakeHaproxy::Server& only(Harness& h) { return *h.haproxy().only("shoal"); }

}  // namespace

TEST_CASE("Maintenance and drain by hand outlive the sidecar, and a new announce") {
  for (const unsigned admin : {1u, 8u}) {
    Harness h;
    h.serve("web-1", 1);
    only(h).admin = admin;
    h.run(6s);
    h.haproxy().commands.clear();
    for (int restarts = 0; restarts < 3; ++restarts) {
      h.start_sidecar();
      h.run(20ms);
      h.member("web-1", 1);
      h.announce("web-1", Harness::word(1, 2 + static_cast<std::uint64_t>(restarts)));
      h.cluster_ready();
      h.run(2min);
    }
    CHECK(h.haproxy().commands.empty());
    CHECK(only(h).admin == admin);
    CHECK(only(h).weight == 100);
    only(h).admin = 0;
    h.run(6s);
    CHECK(h.standing("web-1").in_rotation);
  }
}

TEST_CASE("They outlive the failure of the member, however long, and its return") {
  for (const unsigned admin : {1u, 8u}) {
    for (const Duration away : {Duration(5s), Duration(5min)}) {
      Harness h;
      h.serve("web-1", 1);
      only(h).admin = admin;
      h.run(6s);
      h.haproxy().commands.clear();
      h.member("web-1", 1, MemberStatus::kFailed);  // Its place refuses.
      h.run(away);
      REQUIRE(h.haproxy().count("shoal") == 1);
      h.member("web-1", 1);
      h.announce("web-1", Harness::word(1, 2));
      h.run(1min);
      CHECK(h.haproxy().commands.empty());
      CHECK(only(h).admin == admin);
    }
  }
}

TEST_CASE("Undone by hand while the member is away: shoal goes on, and asks its place first") {
  Harness h;
  h.serve("web-1", 1);
  only(h).admin = 1;
  h.run(6s);
  h.member("web-1", 1, MemberStatus::kFailed);
  h.run(10s);
  CHECK(h.looked.empty());
  only(h).admin = 0;
  h.run(6s);
  CHECK(h.looked.size() == 1);
  CHECK(only(h).admin == 1);
  CHECK(only(h).weight == 0);  // Ours now.
}

TEST_CASE("Whose member is forgotten, left or departed is deleted whatever the mark") {
  for (const MemberStatus end : {MemberStatus::kReaped, MemberStatus::kLeft}) {
    Harness h;
    h.serve("web-1", 1);
    only(h).admin = 1;
    h.run(6s);
    if (end == MemberStatus::kReaped) h.member("web-1", 1, MemberStatus::kFailed);
    h.run(10min);
    h.member("web-1", 1, end);
    h.run(20s);
    CHECK(h.haproxy().count("shoal") == 0);
  }
}

TEST_CASE("A server that the floor holds can be taken out by hand") {
  Harness h;
  h.look_result = kConnected;
  h.serve("web-1", 1);
  h.member("web-1", 1, MemberStatus::kFailed);
  h.run(10s);
  REQUIRE(h.haproxy().serving("shoal") == 1);
  only(h).admin = 1;
  h.haproxy().commands.clear();
  h.run(5min);
  CHECK(h.haproxy().commands.empty());
  CHECK(only(h).admin == 1);
}

TEST_CASE("A weight set by hand on a server in rotation is put back") {
  Harness h;
  h.serve("web-1", 1);
  only(h).weight = 5;
  h.run(6s);
  CHECK(only(h).weight == 100);
  only(h).weight = 0;
  h.run(6s);
  CHECK(only(h).weight == 100);
}

TEST_CASE("An operator's wish to drain is obeyed for an unready task too, whatever the floor says") {
  Harness h;
  h.look_result = kConnected;
  h.serve("web-1", 1);
  auto word = Harness::word(1, 2);
  word.state = announce::TaskState::kUnready;
  h.announce("web-1", word);
  h.run(10s);
  REQUIRE(h.haproxy().serving("shoal") == 1);  // Held.
  h.wish("web-1", announce::Wish::kDrain);
  h.run(10ms);
  CHECK(h.haproxy().serving("shoal") == 0);
}

TEST_CASE("Out and drained are said only when every HAProxy is known to be, or not to run") {
  Harness h(Harness::default_options(2));
  h.serve("web-1", 1);
  h.run(1s);
  h.haproxy(1).wedged = true;
  h.run(5s);
  h.depart("web-1", 1, 2);
  h.run(2s);
  CHECK(h.haproxy(0).only("shoal")->admin == 1);
  CHECK(!h.standing("web-1").out);
  CHECK(!h.standing("web-1").drained);
  // One that fell silent may go on without its listening socket.
  h.haproxy(1).refuses_connections = true;
  h.run(5s);
  CHECK(!h.standing("web-1").out);
  h.haproxy(1).wedged = false;
  h.haproxy(1).refuses_connections = false;
  h.run(5s);
  CHECK(h.standing("web-1").out);
  CHECK(h.standing("web-1").drained);
}

TEST_CASE("A HAProxy that has ended, and on whose socket nobody listens for a second, has no requests") {
  for (const std::size_t proxies : {1, 2}) {
    Harness h(Harness::default_options(proxies));
    h.serve("web-1", 1);
    h.run(1s);
    const std::size_t last = proxies - 1;
    h.haproxy(last).refuses_connections = true;
    h.haproxy(last).restart();
    h.run(100ms);
    h.depart("web-1", 1, 2);
    h.run(100ms);
    CHECK(!h.standing("web-1").drained);
    h.run(3s);
    CHECK(h.standing("web-1").out);
    CHECK(h.standing("web-1").drained);
  }
}
