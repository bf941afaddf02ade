// haproxy.dry_run: HAProxy is asked, and told nothing.
#include <doctest/doctest.h>

#include "harness.h"

using namespace shoal;
using namespace shoal::sidecar;

namespace {

Options dry() {
  Options options = Harness::default_options();
  options.dry_run = true;
  return options;
}

}  // namespace

TEST_CASE("A dry run says each command once, and sends none") {
  Harness h(dry());
  h.run(10ms);
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1));
  h.run(1min);
  REQUIRE(h.would_send.size() == 4);
  CHECK(h.would_send[0].find("add server shoal/shoal-web-1-1 10.0.0.1:8080 weight 0 id ") == 0);
  CHECK(h.would_send[1] == "enable health shoal/shoal-web-1-1");
  CHECK(h.would_send[2] == "enable server shoal/shoal-web-1-1");
  CHECK(h.would_send[3] == "set server shoal/shoal-web-1-1 weight 100");
  CHECK(h.haproxy().commands.empty());
  const auto standing = h.standing("web-1");
  CHECK(!standing.in_rotation);
  CHECK(standing.reason == announce::Reason::kNone);  // Pending.
  CHECK(standing.reason_text.view().find("haproxy.dry_run") != std::string_view::npos);
}

TEST_CASE("A dry run beside a pool that stands says what would change, and that it still stands") {
  Harness h(dry());
  h.haproxy().put("shoal", {"shoal-web-1-1", "10.0.0.1", 8080, 77, 0, false, 100, true});
  h.haproxy().put("shoal", {"shoal-web-2-1", "10.0.0.2", 8080, 78, 0, false, 100, true});
  h.run(10ms);
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1));
  h.run(1s);
  CHECK(h.would_send.empty());
  CHECK(h.standing("web-1").in_rotation);
  h.depart("web-1", 1, 2);
  h.run(1min);
  CHECK(h.would_send == std::vector<std::string>{"set server shoal/shoal-web-1-1 weight 0",
                                                 "set server shoal/shoal-web-1-1 state maint"});
  CHECK(!h.standing("web-1").out);
  h.would_send.clear();
  h.cluster_ready();
  h.run(2min);  // Nobody claims the other; its place refuses.
  REQUIRE(h.would_send.size() == 2);
  CHECK(h.would_send[1] == "set server shoal/shoal-web-2-1 state maint");
  CHECK(h.haproxy().serving("shoal") == 2);
  CHECK(h.haproxy().commands.empty());
}

TEST_CASE("A change that comes again is said again, and a storm is said whole") {
  Harness h(dry());
  h.run(10ms);
  for (int i = 1; i <= 60; ++i) {
    h.member("web-" + std::to_string(i), i);
    h.announce("web-" + std::to_string(i), Harness::word(1, 1));
  }
  h.run(10s);
  CHECK(h.would_send.size() == 240);
  h.would_send.clear();
  auto word = Harness::word(1, 2);
  word.weight = 7;
  h.announce("web-1", word);
  h.run(10s);
  REQUIRE(h.would_send.size() == 4);
  CHECK(h.would_send[3] == "set server shoal/shoal-web-1-1 weight 7");
}
