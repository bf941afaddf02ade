#include "sidecar/core.h"

#include <doctest/doctest.h>

#include "harness.h"

using namespace shoal;
using namespace shoal::sidecar;

TEST_CASE("A ready task is added with weight 0, enabled, and gets its weight last") {
  Harness h;
  h.run(10ms);
  h.serve("web-1", 1);
  const auto* server = h.haproxy().only("shoal");
  REQUIRE(server != nullptr);
  CHECK(server->name == "shoal-web-1-1");
  CHECK(server->addr == "10.0.0.1");
  CHECK(server->port == 8080);
  CHECK(server->weight == 100);
  const auto& said = h.haproxy().commands;
  REQUIRE(said.size() == 4);
  CHECK(said[0].substr(0, 59) ==
        "add server shoal/shoal-web-1-1 10.0.0.1:8080 weight 0 id " + std::to_string(server->id).substr(0, 2));
  CHECK(said[1] == "enable health shoal/shoal-web-1-1");
  CHECK(said[2] == "enable server shoal/shoal-web-1-1");
  CHECK(said[3] == "set server shoal/shoal-web-1-1 weight 100");
  CHECK(h.saw(EventKind::kServerInRotation));
  CHECK(h.standing("web-1").server == "shoal-web-1-1");
  CHECK(h.standing("web-1").proxies_up == 1);
}

TEST_CASE("Nothing is added before the place has answered a connect, and the refusal names the fix") {
  Harness h;
  h.verify_result = VerifyResult::kTimedOut;
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1));
  h.run(100ms);
  CHECK(h.haproxy().count("shoal") == 0);
  const auto standing = h.standing("web-1");
  CHECK(!standing.in_rotation);
  CHECK(standing.reason == announce::Reason::kFix);
  CHECK(standing.reason_text ==
        "10.0.0.1:8080 cannot be reached from the proxy: timed out; is the port range open in the task's security "
        "group?");
  h.verify_result = VerifyResult::kConnected;  // The cause is gone: by itself, without a new announce.
  h.run(2s);
  CHECK(h.standing("web-1").in_rotation);
  CHECK(h.verified.size() == 2);
}

TEST_CASE("A departed task is out at once, drained when its last request has ended, deleted not before 10 s") {
  Harness h;
  h.serve("web-1", 1);
  h.haproxy().only("shoal")->sessions = 2;
  h.haproxy().only("shoal")->queued = 1;
  h.depart("web-1", 1, 2);
  const Instant out_at = h.now;
  CHECK(h.haproxy().only("shoal")->admin == 1);
  CHECK(h.haproxy().only("shoal")->weight == 0);
  CHECK(h.sent("weight 0") == 2);  // The add's, and now.
  auto standing = h.standing("web-1");
  CHECK(standing.out);
  CHECK(!standing.drained);
  CHECK(!standing.in_rotation);
  CHECK(standing.in_flight == 3);
  h.run(3s);
  CHECK(!h.standing("web-1").drained);
  h.haproxy().only("shoal")->sessions = 0;
  h.run(300ms);
  CHECK(!h.standing("web-1").drained);  // One is still queued.
  h.haproxy().only("shoal")->queued = 0;
  h.run(300ms);
  CHECK(h.standing("web-1").drained);
  CHECK(h.saw(EventKind::kServerDrained));
  h.run(out_at + 9990ms - h.now);
  CHECK(h.sent("del server") == 0);
  h.run(50ms);
  CHECK(h.sent("del server shoal/shoal-web-1-1") == 1);
  CHECK(h.haproxy().count("shoal") == 0);
  CHECK(h.standing("web-1").out);
  CHECK(h.standing("web-1").drained);
}

TEST_CASE("A depart for a while takes the server out, and a later announce of the same start brings it back") {
  Harness h;
  h.serve("web-1", 1);
  h.haproxy().only("shoal")->sessions = 1;
  h.depart("web-1", 1, 2, true);
  CHECK(h.haproxy().only("shoal")->admin == 1);
  CHECK(h.standing("web-1").out);
  CHECK(!h.standing("web-1").drained);
  h.haproxy().only("shoal")->sessions = 0;
  h.run(1s);
  CHECK(h.standing("web-1").drained);
  h.announce("web-1", Harness::word(1, 1));  // Late copies of what was said before.
  h.announce("web-1", Harness::word(1, 2));
  h.run(1min);
  CHECK(h.haproxy().only("shoal")->admin == 1);  // Kept for its return, too.
  h.announce("web-1", Harness::word(1, 3));
  h.run(20ms);
  CHECK(h.standing("web-1").in_rotation);
  h.depart("web-1", 1, 2, true);  // A late copy.
  h.run(1s);
  CHECK(h.standing("web-1").in_rotation);
  h.depart("web-1", 1, 4, true);
  h.depart("web-1", 1, 5);  // It ends within its renewal: now for good.
  h.announce("web-1", Harness::word(1, 6));
  h.run(15s);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("A depart for a while from one pool and an announce for another move the server") {
  Harness h;
  h.serve("web-1", 1);
  h.depart("web-1", 1, 2, true);
  h.run(100ms);
  h.announce("web-1", Harness::word(1, 3, 8080, "other"));
  h.run(45s);
  CHECK(h.standing("web-1").in_rotation);
  CHECK(h.haproxy().count("shoal") == 0);
  CHECK(h.haproxy().serving("other") == 1);
}

TEST_CASE("A depart takes one exchange: the answer is there as soon as HAProxy has answered") {
  Harness h;
  h.serve("web-1", 1);
  h.run(1s);
  const Instant before = h.now;
  h.depart("web-1", 1, 2);
  CHECK(h.now == before);
  CHECK(h.standing("web-1").out);
  CHECK(h.standing("web-1").drained);
}

TEST_CASE("A server is not deleted while a request is in flight, however long that takes") {
  Harness h;
  h.serve("web-1", 1);
  h.haproxy().only("shoal")->sessions = 1;
  h.depart("web-1", 1, 2);
  h.run(5min);
  CHECK(h.sent("del server") == 0);
  h.haproxy().only("shoal")->sessions = 0;
  h.run(1s);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("Idle connections that block a delete are purged by drain and maintenance once more") {
  Harness h;
  h.serve("web-1", 1);
  h.depart("web-1", 1, 2);
  h.haproxy().only("shoal")->idle = 4;  // A request that ended after the maintenance put it there.
  h.run(15s);
  CHECK(h.sent("state drain") == 1);
  CHECK(h.sent("del server") == 3);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("A failed task goes to maintenance at once and is deleted after grace") {
  Harness h;
  h.serve("web-1", 1);
  h.member("web-1", 1, MemberStatus::kFailed);
  CHECK(h.haproxy().only("shoal")->admin == 1);
  CHECK(h.haproxy().only("shoal")->weight == 0);
  h.run(29900ms);
  CHECK(h.haproxy().count("shoal") == 1);
  h.run(300ms);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("Grace below 10 s does not shorten the time in maintenance") {
  Options options = Harness::default_options();
  options.policy.grace = 1s;
  Harness h(options);
  h.serve("web-1", 1);
  h.member("web-1", 1, MemberStatus::kFailed);
  h.run(9900ms);
  CHECK(h.sent("del server") == 0);
  h.run(200ms);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("Suspicion changes nothing") {
  Harness h;
  h.serve("web-1", 1);
  h.member("web-1", 1, MemberStatus::kSuspect);
  h.run(1min);
  CHECK(h.standing("web-1").in_rotation);
  CHECK(h.haproxy().commands.size() == 4);
}

TEST_CASE("A failed member that returns comes back only with a new word and a new connect: ready first, weight last") {
  Harness h;
  h.serve("web-1", 1);
  h.member("web-1", 1, MemberStatus::kFailed);
  h.run(1s);
  h.member("web-1", 1);
  h.run(1s);
  CHECK(h.haproxy().only("shoal")->admin == 1);
  h.announce("web-1", Harness::word(1, 1));  // A late copy of the old word is no new one.
  h.run(1s);
  CHECK(h.haproxy().only("shoal")->admin == 1);
  CHECK(h.verified.size() == 1);
  h.haproxy().commands.clear();
  h.announce("web-1", Harness::word(1, 2));
  h.run(50ms);
  CHECK(h.verified.size() == 2);
  CHECK(h.standing("web-1").in_rotation);
  REQUIRE(h.haproxy().commands.size() == 3);
  CHECK(h.haproxy().commands[1] == "enable server shoal/shoal-web-1-1");
  CHECK(h.haproxy().commands[2] == "set server shoal/shoal-web-1-1 weight 100");
  h.run(1min);
  CHECK(h.haproxy().count("shoal") == 1);
}

TEST_CASE("HAProxy's restart: the whole pool is rebuilt in one batch, without connecting to anybody again") {
  Harness h;
  for (int i = 1; i <= 5; ++i) h.serve("web-" + std::to_string(i), i);
  const std::size_t connects = h.verified.size();
  h.haproxy().restart();
  h.run(60ms);
  CHECK(h.haproxy().count("shoal") == 5);
  for (int i = 1; i <= 5; ++i) CHECK(h.standing("web-" + std::to_string(i)).in_rotation);
  CHECK(h.verified.size() == connects);
  CHECK(h.saw(EventKind::kHaproxyReplaced));
}

TEST_CASE("A reload is noticed within 50 ms although the old process still says yes to everything") {
  Harness h;
  h.serve("web-1", 1);
  h.run(1s);
  h.haproxy().reload();
  CHECK(h.haproxy().count("shoal") == 0);
  h.run(60ms);
  CHECK(h.haproxy().count("shoal") == 1);
  CHECK(h.standing("web-1").in_rotation);
}

TEST_CASE("A replacement that the old process does not admit is found by the fresh connection") {
  Harness h;
  h.serve("web-1", 1);
  h.run(1s);
  h.haproxy().reload(false);
  h.run(1300ms);
  CHECK(h.haproxy().count("shoal") == 1);
  CHECK(h.standing("web-1").in_rotation);
}

TEST_CASE("While HAProxy is away the wish is kept, and said") {
  Harness h;
  h.haproxy().refuses_connections = true;
  h.start_sidecar();
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1));
  h.run(10s);
  CHECK(h.standing("web-1").reason == announce::Reason::kRetry);
  CHECK(h.standing("web-1").reason_text == "HAProxy is away: /run/haproxy-0.sock: Connection refused");
  CHECK(h.standing("web-1").proxies_up == 0);
  h.haproxy().refuses_connections = false;
  h.run(3s);
  CHECK(h.standing("web-1").in_rotation);
}

TEST_CASE("A departed task is not called out while HAProxy is away: it may still route there") {
  Harness h;
  h.serve("web-1", 1);
  h.haproxy().refuses_connections = true;
  h.haproxy().wedged = true;
  h.run(5s);
  h.depart("web-1", 1, 2);
  CHECK(!h.standing("web-1").out);
  CHECK(!h.standing("web-1").drained);
}

TEST_CASE("A wedged socket: deadline, new connection, and the wish is carried out there") {
  Harness h;
  h.serve("web-1", 1);
  h.run(100ms);
  h.haproxy().wedged = true;
  h.depart("web-1", 1, 2);
  h.run(1900ms);
  CHECK(!h.standing("web-1").out);
  h.haproxy().wedged = false;
  h.run(1s);
  CHECK(h.saw(EventKind::kHaproxyDown));
  CHECK(h.standing("web-1").out);
  CHECK(h.standing("web-1").drained);
}

TEST_CASE("An answer that breaks off anywhere is an error, never an answer") {
  for (int bytes = 0; bytes < 4000; bytes += 23) {
    CAPTURE(bytes);
    Harness h;
    h.run(10ms);
    h.haproxy().break_after = bytes;
    h.member("web-1", 1);
    h.announce("web-1", Harness::word(1, 1));
    h.run(2s);
    CHECK(h.standing("web-1").in_rotation);
    REQUIRE(h.haproxy().only("shoal") != nullptr);
    CHECK(test::FakeHaproxy::serves(*h.haproxy().only("shoal")));
  }
}

TEST_CASE("After the sidecar's restart what stands is adopted: nothing leaves, nothing is added twice") {
  Harness h;
  h.serve("web-1", 1);
  h.serve("web-2", 2);
  h.haproxy().commands.clear();
  h.start_sidecar();
  h.run(30s);
  h.cluster_ready();
  h.run(25s);
  CHECK(h.haproxy().commands.empty());
  h.verify_result = VerifyResult::kTimedOut;  // Also when the connect fails: it stands, so it stays.
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1));
  CHECK(h.standing("web-1").in_rotation);
  CHECK(h.haproxy().commands.empty());
}

TEST_CASE("An adopted server without a fact is held 60 s and until the cluster is ready, then it goes") {
  Harness h;
  h.serve("web-1", 1);
  h.start_sidecar();
  h.run(120s);
  CHECK(test::FakeHaproxy::serves(*h.haproxy().only("shoal")));
  h.cluster_ready();
  h.run(9s);  // Whoever has been found just now has to have the time to speak.
  CHECK(test::FakeHaproxy::serves(*h.haproxy().only("shoal")));
  h.run(1100ms);
  CHECK(h.haproxy().only("shoal")->admin == 1);

  Harness early;
  early.serve("web-1", 1);
  early.start_sidecar();
  early.cluster_ready();
  early.run(59s);
  CHECK(test::FakeHaproxy::serves(*early.haproxy().only("shoal")));
  early.run(1100ms);
  CHECK(early.haproxy().only("shoal")->admin == 1);
  early.run(31s);
  CHECK(early.haproxy().count("shoal") == 0);
}

TEST_CASE("A stray that its task claims after all returns, and servers without our prefix are never touched") {
  Harness h;
  h.serve("web-1", 1);
  h.haproxy().put("shoal", {"static-1", "10.9.9.9", 80, 9, 0, false, 10});
  h.haproxy().put("shoal", {"shoa", "10.9.9.9", 80, 10, 1, false, 0});
  h.start_sidecar();
  h.cluster_ready();
  h.run(61s);
  CHECK(h.haproxy().find("shoal", "shoal-web-1-1")->admin == 1);
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1));
  h.run(100ms);
  CHECK(h.standing("web-1").in_rotation);
  h.run(5min);
  CHECK(h.haproxy().count("shoal") == 3);
  CHECK(h.sent("static-1") == 0);
  CHECK(h.sent("/shoa ") == 0);
}

TEST_CASE("A stale ready after the depart is ignored, also after the member was forgotten") {
  Harness h;
  h.serve("web-1", 1);
  h.depart("web-1", 1, 5);
  h.announce("web-1", Harness::word(1, 4));
  h.announce("web-1", Harness::word(1, 9));
  h.run(1s);
  CHECK(h.standing("web-1").out);
  h.member("web-1", 1, MemberStatus::kLeft);
  h.run(20s);
  h.member("web-1", 1, MemberStatus::kReaped);
  h.run(10s);
  CHECK(h.core->registry().find("web-1") == Registry::kNone);
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 9));
  h.run(1s);
  CHECK(h.haproxy().count("shoal") == 0);
  h.announce("web-1", Harness::word(2, 1));  // A new start is another matter.
  h.run(1s);
  CHECK(h.standing("web-1", 2).in_rotation);
}

TEST_CASE("An operator's maintenance and drain by hand stay, and the task is told") {
  for (const unsigned admin : {1u, 8u}) {
    Harness h;
    h.serve("web-1", 1);
    h.haproxy().only("shoal")->admin = admin;
    h.haproxy().commands.clear();
    h.run(1min);
    h.announce("web-1", Harness::word(1, 2));
    h.run(1min);
    CHECK(h.haproxy().only("shoal")->admin == admin);
    CHECK(h.haproxy().commands.empty());
    CHECK(!h.standing("web-1").in_rotation);
    CHECK(h.standing("web-1").reason_text.view().find("an operator has put the server into") == 0);
    CHECK(h.saw(EventKind::kServerHeldByOperator));
    h.haproxy().only("shoal")->admin = 0;
    h.run(6s);
    CHECK(h.standing("web-1").in_rotation);
  }
}

TEST_CASE("A departed server is deleted whatever the operator's mark") {
  Harness h;
  h.serve("web-1", 1);
  h.haproxy().only("shoal")->admin = 1;
  h.run(6s);
  h.depart("web-1", 1, 2);
  h.run(20ms);
  CHECK(h.standing("web-1").out);
  CHECK(h.standing("web-1").drained);
  CHECK(h.sent("weight 0") == 1);  // Not marked anew.
  h.run(12s);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("An add that was cut off before its weight is continued") {
  Harness h;
  h.haproxy().put("shoal", {"shoal-web-1-1", "10.0.0.1", 8080, 77, 1, false, 0, true});
  h.run(10ms);
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1));
  h.run(50ms);
  CHECK(h.sent("add server") == 0);
  CHECK(h.standing("web-1").in_rotation);
}

TEST_CASE("A server that stands under the right name at the wrong address is replaced, by way of the 10 s") {
  Harness h;
  h.haproxy().put("shoal", {"shoal-web-1-1", "10.0.0.9", 8080, 77, 0, false, 100, true});
  h.run(10ms);
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 1));
  h.run(5s);
  CHECK(!h.standing("web-1").in_rotation);
  CHECK(h.haproxy().only("shoal")->admin == 1);
  h.run(6s);
  CHECK(h.standing("web-1").in_rotation);
  CHECK(h.haproxy().only("shoal")->addr == "10.0.0.1");
}

TEST_CASE("One place, two tasks: the one that announced last has it, until it is gone") {
  Harness h;
  h.serve("web-1", 1);
  h.member("web-2", 1);
  h.announce("web-2", Harness::word(1, 1));
  h.run(50ms);
  CHECK(h.standing("web-2").in_rotation);
  CHECK(h.haproxy().find("shoal", "shoal-web-1-1")->admin == 1);
  h.announce("web-1", Harness::word(1, 2));  // Only the first word of a start counts as "last".
  h.run(50ms);
  CHECK(!h.standing("web-1").in_rotation);
  CHECK(h.standing("web-1").reason_text == "another task announced 10.0.0.1:8080 later and has it");
  h.member("web-2", 1, MemberStatus::kFailed);
  h.run(50ms);
  CHECK(h.standing("web-1").in_rotation);
}

TEST_CASE("A word that cannot be served takes nobody's place") {
  Options options = Harness::default_options();
  options.policy.pools.push_back(*haproxy::BackendName::parse("shoal"));
  options.policy.pools.push_back(*haproxy::BackendName::parse("nope"));
  Harness h(options);
  h.serve("web-1", 1);
  h.haproxy().commands.clear();
  int i = 2;
  for (const std::string_view pool : {"nope", "other", "a b;c"}) {
    const std::string node = "web-" + std::to_string(i++);
    h.member(node, 1);
    h.announce(node, Harness::word(1, 1, 8080, pool));
    h.run(1s);
    CHECK(h.standing("web-1").in_rotation);
  }
  CHECK(h.haproxy().commands.empty());
  h.haproxy().add_backend("nope");  // Now it can be served, and it announced later.
  h.run(6s);
  CHECK(h.standing("web-2").in_rotation);
  CHECK(!h.standing("web-1").in_rotation);
}

TEST_CASE("Several HAProxies: accepted only when all have it, drained only when none has a request") {
  Harness h(Harness::default_options(2));
  h.serve("web-1", 1);
  CHECK(h.haproxy(0).only("shoal")->id == h.haproxy(1).only("shoal")->id);
  CHECK(h.standing("web-1").proxies_in_rotation == 2);
  h.haproxy(1).only("shoal")->admin = 1;
  h.run(6s);
  CHECK(!h.standing("web-1").in_rotation);
  CHECK(h.standing("web-1").proxies_in_rotation == 1);
  h.haproxy(1).only("shoal")->admin = 0;
  h.run(6s);
  h.haproxy(1).only("shoal")->sessions = 1;
  h.depart("web-1", 1, 2);
  h.run(1s);
  CHECK(h.standing("web-1").out);
  CHECK(!h.standing("web-1").drained);
  CHECK(h.standing("web-1").in_flight == 1);
  CHECK(h.standing("web-1").proxies_total == 2);
}

TEST_CASE("An unready task goes to maintenance and is kept, and returns with its next ready") {
  Harness h;
  h.serve("web-1", 1);
  auto said = Harness::word(1, 2);
  said.state = announce::TaskState::kUnready;
  h.announce("web-1", said);
  h.run(2min);
  CHECK(h.haproxy().only("shoal")->admin == 1);
  h.announce("web-1", Harness::word(1, 3));
  h.run(50ms);
  CHECK(h.standing("web-1").in_rotation);
}

TEST_CASE("A changed weight is set, one that HAProxy will not keep is not fought over in a tight loop") {
  Harness h;
  h.serve("web-1", 1);
  auto said = Harness::word(1, 2);
  said.weight = 7;
  h.announce("web-1", said);
  h.run(20ms);
  CHECK(h.haproxy().only("shoal")->weight == 7);
  h.haproxy().commands.clear();
  h.haproxy().keeps_weights = true;
  said.generation.seq = 3;
  said.weight = 9;
  h.announce("web-1", said);
  h.run(10s);
  CHECK(h.sent("weight 9") > 3);
  CHECK(h.sent("weight 9") < 20);
}

TEST_CASE("A new start of a node that left under the same name takes over; the old server is removed") {
  Harness h;
  h.cluster_ready();
  h.serve("web-1", 1, 50);
  h.run(61s);
  h.member("web-1", 1, MemberStatus::kLeft);
  h.member("web-1", 2);
  h.announce("web-1", Harness::word(40, 1));  // Its clock went back.
  h.run(100ms);
  CHECK(h.standing("web-1", 40).in_rotation);
  CHECK(h.haproxy().find("shoal", "shoal-web-1-1e")->admin == 1);
  h.run(1min);
  CHECK(h.haproxy().count("shoal") == 1);
}

TEST_CASE("An older start of a node that is there is not believed") {
  Harness h;
  h.serve("web-1", 1, 50);
  h.announce("web-1", Harness::word(40, 99));
  h.run(1s);
  CHECK(h.standing("web-1", 50).in_rotation);
  CHECK(!h.standing("web-1", 40).in_rotation);
  CHECK(h.haproxy().count("shoal") == 1);
}

TEST_CASE("A Go peer, which counts nothing, is named by its port") {
  Harness h;
  h.member("go-1", 3);
  h.announce("go-1", Harness::word(0, 0, 9000));
  h.run(50ms);
  CHECK(h.standing("go-1", 0).in_rotation);
  CHECK(h.haproxy().only("shoal")->name == "shoal-go-1-9000");
  h.member("go-1", 3, MemberStatus::kLeft);
  h.run(12s);
  CHECK(h.haproxy().count("shoal") == 0);
  h.member("go-1", 3);
  h.announce("go-1", Harness::word(0, 0, 9000));
  h.run(50ms);
  CHECK(h.standing("go-1", 0).in_rotation);
}

TEST_CASE("Every change that can change an answer is told, by node") {
  Harness h;
  h.serve("web-1", 1);
  const auto told = [&h] {
    bool result = false;
    for (const Event& event : h.events) {
      result = result || (event.kind == EventKind::kStandingChanged && event.node == "web-1");
    }
    h.events.clear();
    return result;
  };
  CHECK(told());
  h.run(10s);
  CHECK(!told());
  h.haproxy().only("shoal")->admin = 1;
  h.run(6s);
  CHECK(told());
  h.haproxy().only("shoal")->admin = 0;
  h.run(6s);
  CHECK(told());
  h.haproxy().only("shoal")->sessions = 1;
  h.depart("web-1", 1, 2);
  CHECK(told());
  h.haproxy().only("shoal")->sessions = 0;
  h.run(1s);
  CHECK(told());
}

TEST_CASE("A quiet sidecar only watches: it looks at the table once each interval") {
  Harness h;
  h.serve("web-1", 1);
  h.run(10s);
  const auto before = h.core->counts().batches;
  h.run(50s);
  CHECK(h.core->counts().batches - before == 10);
  CHECK(h.haproxy().commands.size() == 4);
}

TEST_CASE("What was seen of a server in the old process says nothing of its namesake in the new one") {
  Harness h;
  h.serve("web-1", 1);
  h.depart("web-1", 1, 2);
  h.run(9s);
  REQUIRE(h.standing("web-1").drained);
  h.haproxy().restart();
  h.haproxy().put("shoal", {"shoal-web-1-1", "10.0.0.1", 8080, 77, 1, false, 0, true, 0, 1, 0});
  h.run(2s);
  CHECK(!h.standing("web-1").drained);
  h.haproxy().only("shoal")->sessions = 0;
  h.run(7s);
  CHECK(h.haproxy().count("shoal") == 1);  // Its 10 s in maintenance begin anew.
  h.run(2s);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("A pool with options of its own gets those in place of the general ones") {
  Options options = Harness::default_options();
  options.pool_options.push_back({*haproxy::BackendName::parse("shoal"), *haproxy::ServerOptions::parse("maxconn 5")});
  Harness h(options);
  h.run(10ms);
  h.serve("web-1", 1);
  CHECK(h.haproxy().commands[0].ends_with(" maxconn 5"));
  CHECK(h.sent("check") == 0);
  CHECK(h.sent("enable health") == 0);
}

TEST_CASE(
    "A server that its own task has replaced goes at once, also in a young sidecar that waits for everybody's word") {
  Harness h;
  h.run(10ms);
  h.serve("web-1", 1);
  h.announce("web-1", Harness::word(2, 1, 9090));  // It crashed and is back, on another port.
  h.run(100ms);
  CHECK(h.standing("web-1", 2).in_rotation);
  CHECK(h.haproxy().serving("shoal") == 1);
}

TEST_CASE("A task that departs while its add is on the way to HAProxy is not told that it is out") {
  Harness h;
  h.run(10ms);
  h.member("web-1", 1);
  h.haproxy().wedged = true;
  h.announce("web-1", Harness::word(1, 1));
  h.depart("web-1", 1, 2);
  CHECK(!h.standing("web-1").out);
  CHECK(!h.standing("web-1").drained);
  h.haproxy().wedged = false;
  h.run(10s);
  CHECK(h.standing("web-1").out);
  CHECK(h.standing("web-1").drained);
}

TEST_CASE("An operator's wish takes the server out, is kept, told to the task, and undone: ready first, weight last") {
  Harness h;
  h.serve("web-1", 1);
  h.haproxy().only("shoal")->sessions = 2;
  h.wish("web-1", announce::Wish::kDrain);
  h.run(60s);
  CHECK(h.haproxy().only("shoal")->admin == 8);
  CHECK(h.haproxy().only("shoal")->weight == 0);
  CHECK(h.sent("state drain") == 1);
  CHECK_FALSE(h.standing("web-1").in_rotation);
  CHECK(std::string(h.standing("web-1").reason_text.view()).find("`shoal ready web-1`") != std::string::npos);
  h.wish("web-1", announce::Wish::kMaint);
  h.run(60s);
  CHECK(h.haproxy().only("shoal")->admin == 1);
  h.start_sidecar();
  h.member("web-1", 1);
  h.wish("web-1", announce::Wish::kMaint);
  h.announce("web-1", Harness::word(1, 2));
  h.cluster_ready();
  h.run(120s);
  CHECK(h.haproxy().only("shoal")->admin == 1);
  h.wish("web-1", announce::Wish::kNone);
  h.run(1s);
  CHECK(h.standing("web-1").in_rotation);
  CHECK(h.haproxy().only("shoal")->weight == 100);
}

TEST_CASE("A wish for drain adds no server, maintenance becomes drain, and a departure ends every wish") {
  Harness h;
  h.member("web-1", 1);
  h.wish("web-1", announce::Wish::kDrain);
  h.announce("web-1", Harness::word(1, 1));
  h.run(10s);
  CHECK(h.haproxy().count("shoal") == 0);
  h.wish("web-1", announce::Wish::kNone);
  h.run(1s);
  REQUIRE(h.standing("web-1").in_rotation);
  h.wish("web-1", announce::Wish::kMaint);
  h.run(1s);
  h.wish("web-1", announce::Wish::kDrain);
  h.run(1s);
  CHECK(h.haproxy().only("shoal")->admin == 8);
  h.depart("web-1", 1, 2);
  h.run(20s);
  CHECK(h.standing("web-1").drained);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("An operator's own mark on HAProxy's socket outlives a wish") {
  Harness h;
  h.serve("web-1", 1);
  h.haproxy().only("shoal")->admin = 8;  // By hand: the weight stays.
  h.run(6s);
  h.wish("web-1", announce::Wish::kDrain);
  h.run(10s);
  h.wish("web-1", announce::Wish::kNone);
  h.run(10s);
  CHECK(h.haproxy().only("shoal")->admin == 8);
  CHECK(h.haproxy().only("shoal")->weight == 100);
}
