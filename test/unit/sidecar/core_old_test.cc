// Old processes of HAProxy: `drained` and the requests in flight count them.
#include "harness.h"

using namespace shoal;
using namespace shoal::sidecar;

namespace {

test::FakeHaproxy::Server& server_of_old(Harness& h, std::string_view node) {
  for (test::FakeHaproxy::Server& server : h.haproxy().old().backends["shoal"].servers) {
    if (server.name.find(node) != std::string::npos) return server;
  }
  FAIL("the old process has no such server");
  return h.haproxy().old().backends["shoal"].servers.front();
}

}  // namespace

TEST_CASE("A task that departs after a reload is drained only when the old process has no request for it either") {
  Harness h;
  h.serve("a", 1);
  h.serve("b", 2);
  h.haproxy().find("shoal", h.standing("a").server.view())->sessions = 1;
  h.haproxy().reload();
  h.run(100ms);
  REQUIRE(h.standing("a").in_rotation);  // In the new one.
  CHECK(h.haproxy().connections_to_old() == 1);
  h.depart("a", 1, 2);
  h.run(2s);
  CHECK(h.standing("a").out);
  CHECK(!h.standing("a").drained);
  CHECK(h.standing("a").in_flight == 1);
  CHECK(!h.saw(EventKind::kServerDrained));
  server_of_old(h, "a").sessions = 0;
  h.run(300ms);
  CHECK(h.standing("a").drained);
  CHECK(h.standing("a").in_flight == 0);
  CHECK(h.saw(EventKind::kServerDrained));
  h.run(300ms);
  CHECK(h.haproxy().connections_to_old() == 0);
  CHECK(h.saw(EventKind::kOldProcessEnded));
}

TEST_CASE("A reload in the middle of a drain does not end it") {
  Harness h;
  h.serve("a", 1);
  h.serve("b", 2);
  h.haproxy().find("shoal", h.standing("a").server.view())->sessions = 2;
  h.depart("a", 1, 2);
  h.run(100ms);
  REQUIRE(h.standing("a").in_flight == 2);
  h.haproxy().reload();
  h.run(1s);
  CHECK(h.haproxy().count("shoal") == 1);  // The new process never gets it.
  CHECK(!h.standing("a").drained);
  CHECK(h.standing("a").in_flight == 2);
  server_of_old(h, "a").sessions = 0;
  h.run(300ms);
  CHECK(h.standing("a").drained);
}

TEST_CASE("What had drained before the reload stays drained") {
  Harness h;
  h.serve("a", 1);
  h.serve("b", 2);
  h.depart("a", 1, 2);
  h.run(300ms);
  REQUIRE(h.standing("a").drained);
  h.haproxy().find("shoal", h.standing("b").server.view())->sessions = 1;
  h.haproxy().reload();
  h.run(100ms);
  CHECK(h.standing("a").drained);
  CHECK(h.haproxy().connections_to_old() == 1);  // For b, who may depart yet.
}

TEST_CASE("In an old process nothing is ever changed, and one without requests is let go at once") {
  Harness h;
  h.serve("a", 1);
  h.haproxy().reload();
  h.run(100ms);
  CHECK(h.haproxy().connections_to_old() == 0);
  CHECK(h.haproxy().old().backends["shoal"].servers.size() == 1);
  h.haproxy().find("shoal", h.standing("a").server.view())->sessions = 1;
  h.haproxy().reload();
  h.depart("a", 1, 2);
  h.run(5s);
  CHECK(server_of_old(h, "a").weight == 100);
  CHECK(server_of_old(h, "a").admin == 0);
}

TEST_CASE("An old process that ends, with a request or not, is not waited for") {
  Harness h;
  h.serve("a", 1);
  h.serve("b", 2);
  h.haproxy().find("shoal", h.standing("a").server.view())->sessions = 1;
  h.haproxy().reload();
  h.depart("a", 1, 2);
  h.run(1s);
  REQUIRE(!h.standing("a").drained);
  h.haproxy().kill_old();
  h.run(1s);
  CHECK(h.standing("a").drained);
  CHECK(h.saw(EventKind::kOldProcessEnded));
}

TEST_CASE("While the new process does not answer, the old one's requests still keep drained away") {
  Harness h(Harness::default_options(2));
  h.serve("a", 1);
  for (std::size_t p = 0; p < 2; ++p) h.haproxy(p).find("shoal", h.standing("a").server.view())->sessions = 1;
  h.haproxy(0).stop_softly();  // For good.
  h.depart("a", 1, 2);
  h.run(1s);
  h.haproxy(1).find("shoal", h.standing("a").server.view())->sessions = 0;
  h.run(1s);
  CHECK(h.standing("a").proxies_up == 1);
  CHECK(!h.standing("a").drained);
  CHECK(h.core->proxy_alive(0));
  h.haproxy(0).find("shoal", h.standing("a").server.view())->sessions = 0;
  h.run(1s);
  CHECK(h.standing("a").drained);
  CHECK(!h.core->proxy_alive(0));
}

TEST_CASE("Of more old processes than there is room for the oldest is given up, and said so") {
  Harness h;
  h.serve("a", 1);
  for (int i = 0; i < 5; ++i) {
    h.haproxy().find("shoal", h.standing("a").server.view())->sessions = 1;
    CHECK(!h.saw(EventKind::kOldProcessGivenUp));
    h.haproxy().reload();
    h.run(200ms);
    REQUIRE(h.standing("a").in_rotation);
  }
  CHECK(h.saw(EventKind::kOldProcessGivenUp));
  CHECK(h.core->session(0).old_given_up() == 1);
  h.depart("a", 1, 2);
  h.run(1s);
  CHECK(h.standing("a").in_flight == 4);
}

TEST_CASE("A socket below level admin is said once, right when it is connected") {
  Harness h;
  h.haproxy().admin_level = false;
  h.run(20ms);
  CHECK(h.saw(EventKind::kSocketLevel));
  h.events.clear();
  h.haproxy().restart();
  h.run(1s);
  CHECK(!h.saw(EventKind::kSocketLevel));
}

TEST_CASE("What is known to be wrong with the version is said once") {
  Harness h;
  h.run(20ms);
  CHECK(h.saw(EventKind::kHaproxyFault));
  h.events.clear();
  h.haproxy().restart();
  h.run(1s);
  CHECK(!h.saw(EventKind::kHaproxyFault));
}
