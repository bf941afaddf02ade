// What the sidecar refuses, and how it says so.
#include <doctest/doctest.h>

#include "harness.h"

using namespace shoal;
using namespace shoal::sidecar;

TEST_CASE("An unknown pool is refused in words, and served when HAProxy has it") {
  Harness h;
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1, 8080, "nope"));
  h.run(1s);
  CHECK(h.haproxy().commands.empty());
  CHECK(h.standing("web-1").reason == announce::Reason::kFix);
  CHECK(h.standing("web-1").reason_text ==
        "HAProxy has no backend `nope`; add it to haproxy.cfg or set task.backend to one that exists");
  h.haproxy().add_backend("nope");
  h.run(6s);
  CHECK(h.standing("web-1").in_rotation);
  CHECK(h.haproxy().count("nope") == 1);
}

TEST_CASE("HAProxy's own refusals are passed on with what to change, and tried again with back-off") {
  Harness h;
  h.haproxy().add_backend("static", false);
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1, 8080, "static"));
  h.run(1s);
  CHECK(h.standing("web-1").reason_text.view().find("the backend `static` takes no servers at run time") == 0);
  h.run(5min);
  CHECK(h.sent("add server") > 5);
  CHECK(h.sent("add server") < 30);
  h.serve("web-0", 9);  // One refused task is no obstacle for another.
}

TEST_CASE("A task that its pool can never take does not keep the place of one that serves there") {
  Harness h;
  h.haproxy().add_backend("static", false);
  h.serve("web-1", 1);
  h.member("late", 1);  // The same host, the same port, announced later.
  h.announce("late", Harness::word(1, 1, 8080, "static"));
  h.run(2s);
  CHECK(h.standing("late").reason_text.view().find("the backend `static` takes no servers at run time") == 0);
  CHECK(h.standing("web-1").in_rotation);
  CHECK(h.haproxy().only("shoal")->admin == 0);
}

TEST_CASE("A socket below level admin is named") {
  Harness h;
  h.haproxy().admin_level = false;
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1));
  h.run(1s);
  CHECK(
      h.standing("web-1").reason_text ==
      "HAProxy's socket /run/haproxy-0.sock is below level admin; write `stats socket /run/haproxy-0.sock level admin`"
      " in haproxy.cfg");
}

TEST_CASE("A take-out that HAProxy refuses is told once and tried again ever more slowly, and done once it may be") {
  Harness h;
  h.serve("web-1", 1);
  h.haproxy().admin_level = false;
  h.events.clear();
  h.depart("web-1", 1, 2);
  h.run(60s);
  int refusals = 0;
  for (const Event& event : h.events) refusals += event.kind == EventKind::kServerRefused ? 1 : 0;
  CHECK(refusals == 1);
  CHECK(h.sent("state maint") > 3);
  CHECK(h.sent("state maint") < 20);
  h.haproxy().admin_level = true;
  h.run(40s);
  CHECK(h.standing("web-1").drained);
}

TEST_CASE("A taken id is no obstacle") {
  Harness h;
  h.serve("web-1", 1);
  const auto id = h.haproxy().only("shoal")->id;
  Harness other;
  other.haproxy().put("shoal", {"static", "10.9.9.9", 80, id, 0, false, 1});
  other.serve("web-1", 1);
  CHECK(other.haproxy().find("shoal", "shoal-web-1-1")->id != id);
}

TEST_CASE("Hostile names, pools and addresses put no byte of theirs on the socket") {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const std::string nasty = std::string("x") + c + "add server shoal/evil 6.6.6.6:66" + c;
    Harness h;
    h.run(10ms);
    h.member(nasty, 1);
    h.announce(nasty, Harness::word(1, 1));
    h.run(30ms);
    // The node's name is one word of HAProxy's alphabet, or not there at all.
    REQUIRE(h.haproxy().only("shoal") != nullptr);
    CHECK(h.haproxy().only("shoal")->name.find("shoal-") == 0);
    CHECK(h.sent("evil") == 0);
    CHECK(h.haproxy().received.find("6.6.6.6") == std::string::npos);
    h.member("web-1", 2);
    h.announce("web-1", Harness::word(1, 1, 8080, std::string("p") + c + "q"));
    h.run(30ms);
    for (const char sent : h.haproxy().received) {
      const bool is_plain =
          (sent >= ' ' && sent <= '~' && std::string_view(";\\\"'<>#&|$`").find(sent) == std::string_view::npos);
      CHECK((is_plain || sent == '\n'));
    }
    CHECK(h.sent("add server") == (h.haproxy().count("shoal") + 0));
  }
}

TEST_CASE("Bad ports and addresses that would make HAProxy talk to itself are refused, with the setting to change") {
  Harness h;
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1, 0));
  CHECK(h.standing("web-1").reason_text == "the announced port is 0; it must be 1 to 65535");
  for (const std::string_view addr : {"0.0.0.0", "::", "127.0.0.1", "::1", "169.254.1.1", "fe80::1", "224.0.0.1",
                                      "255.255.255.255", "ff02::1", "::ffff:127.0.0.1"}) {
    Harness one;
    one.run(10ms);
    Outbox out(1, Harness::default_options().session);
    one.core->on_member(one.now, "web-1", *IpAddress::parse(addr), MemberStatus::kAlive, out);
    one.announce("web-1", Harness::word(1, 1));
    one.run(1s);
    CAPTURE(addr);
    CHECK(one.haproxy().commands.empty());
    CHECK(one.standing("web-1").reason == announce::Reason::kFix);
    CHECK(one.standing("web-1").reason_text.view().find("gossip.advertise") != std::string_view::npos);
  }
}

TEST_CASE("A pool outside haproxy.backends is refused") {
  Options options = Harness::default_options();
  options.policy.pools.push_back(*haproxy::BackendName::parse("shoal"));
  Harness h(options);
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1, 8080, "other"));
  h.run(1s);
  CHECK(h.haproxy().commands.empty());
  CHECK(h.standing("web-1").reason_text ==
        "the pool `other` is not in the sidecar's haproxy.backends ( shoal ); set task.backend to one of them");
}

TEST_CASE("At most 64 connects are open at once; the others have their turn") {
  Options options = Harness::default_options();
  options.registry.members_max = 200;
  Harness h(options);
  h.answer_verifies = false;
  for (int i = 1; i <= 100; ++i) {
    h.member("web-" + std::to_string(i), i);
    h.announce("web-" + std::to_string(i), Harness::word(1, 1));
  }
  CHECK(h.verified.size() == 64);
  h.answer_verifies = true;
  h.run(10s);  // The shell never answered the first 64: they count as timed out, and are tried again.
  for (int i = 1; i <= 100; ++i) CHECK(h.standing("web-" + std::to_string(i)).in_rotation);
}

TEST_CASE("More members than there is room for are refused, counted and said") {
  Harness h;
  for (int i = 1; i <= 70; ++i) h.member("web-" + std::to_string(i), i);
  CHECK(h.core->registry().refused_full() == 6);
  CHECK(h.saw(EventKind::kMembersFull));
  h.serve("web-1", 1);
}
