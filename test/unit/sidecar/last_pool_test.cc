#include "sidecar/last_pool.h"

#include <doctest/doctest.h>

#include <string>

#include "harness.h"

using namespace shoal;
using namespace shoal::sidecar;

namespace {

LastServer server(std::string_view node, int last, std::uint64_t start = 1) {
  LastServer out;
  REQUIRE(out.node.assign(node));
  out.addr = Harness::host(last);
  out.word = Harness::word(start, 0, 8080, "shoal");
  return out;
}

}  // namespace

TEST_CASE("A last pool comes back from its text as it was") {
  LastPool pool;
  pool.written_ms = 1'700'000'000'000;
  pool.servers.push_back(server("web-1", 1));
  pool.servers.push_back(server("weird \"node\"\n", 2, ~std::uint64_t{0}));
  pool.servers[1].addr = *IpAddress::parse("2001:db8::7");
  pool.servers[1].word.weight = 256;
  const auto back = last_pool_from_json(to_json(pool), 10);
  REQUIRE(back.has_value());
  CHECK(back->written_ms == pool.written_ms);
  REQUIRE(back->servers.size() == 2);
  CHECK(back->servers[0].node == "web-1");
  CHECK(back->servers[0].word.pool == "shoal");
  CHECK(back->servers[0].word.weight == 100);
  CHECK(back->servers[0].word.state == announce::TaskState::kReady);
  CHECK(back->servers[1].node == "weird \"node\"\n");
  CHECK(back->servers[1].addr == pool.servers[1].addr);
  CHECK(back->servers[1].word.generation == announce::Generation{~std::uint64_t{0}, 0});
  CHECK(back->servers[1].word.weight == 256);
  CHECK(last_pool_from_json(to_json(pool), 1)->servers.size() == 1);
}

TEST_CASE("What is no last pool is refused, and servers that cannot be are left out") {
  for (const char* bad : {"", "{", "[]", "{}", R"({"version":2,"servers":[]})", R"({"version":1,"servers":{}})",
                          R"({"version":1,"servers":[{"port":70000}]})", R"({"version":1,"servers":[]} x)"}) {
    CAPTURE(bad);
    CHECK_FALSE(last_pool_from_json(bad, 10).has_value());
  }
  const std::string good = R"("node":"a","pool":"web","addr":"10.0.0.1","port":80,"weight":1,"start_id":"5")";
  const auto one = [](const std::string& fields) {
    const auto pool = last_pool_from_json(R"({"version":1,"written_ms":1,"servers":[{)" + fields + "}]}", 10);
    REQUIRE(pool.has_value());
    return pool->servers.size();
  };
  CHECK(one(good) == 1);
  CHECK(one(good + R"(,"later":{"x":[1]})") == 1);
  for (const char* bad : {R"("node":"")", R"("pool":"")", R"("addr":"host")", R"("port":0)", R"("weight":0)",
                          R"("weight":257)", R"("start_id":"x")", R"("start_id":"")"}) {
    CAPTURE(bad);
    CHECK(one(good + "," + bad) == 0);
  }
  CHECK(one(R"("pool":")" + std::string(65, 'p') + R"(","node":"a","addr":"10.0.0.1","port":80,"weight":1)") == 0);
}

TEST_CASE("A remembered server is in rotation before gossip has found anybody, once its place has answered") {
  Harness h;
  h.remember(server("web-1", 1));
  h.run(100ms);
  REQUIRE(h.standing("web-1").in_rotation);
  CHECK(h.verified.size() == 1);
  Harness dead;
  dead.verify_result = VerifyResult::kRefused;
  dead.remember(server("web-1", 1));
  dead.run(5s);
  CHECK(dead.sent("add server") == 0);
}

TEST_CASE("Gossip that finds a remembered server's node changes nothing, and its new start replaces the old one") {
  Harness h;
  h.remember(server("web-1", 1));
  h.run(100ms);
  h.member("web-1", 1);
  h.announce("web-1", Harness::word(1, 4, 8080, "shoal"));
  h.cluster_ready();
  h.run(120s);
  CHECK(h.sent("state maint") == 0);
  CHECK(h.standing("web-1").in_rotation);
  h.announce("web-1", Harness::word(2, 1, 8080, "shoal"));
  h.run(60s);
  CHECK(h.standing("web-1", 2).in_rotation);
  CHECK(h.haproxy().count("shoal") == 1);
}

TEST_CASE("A remembered server that gossip does not find counts as failed once strays are looked at, not before") {
  Harness h;
  h.remember(server("web-1", 1));
  h.run(300s);
  REQUIRE(h.standing("web-1").in_rotation);  // The cluster has not been reached: nothing is known.
  h.verify_result = VerifyResult::kRefused;
  h.cluster_ready();
  h.run(5s);
  CHECK(h.standing("web-1").in_rotation);
  h.run(70s);
  CHECK_FALSE(h.standing("web-1").in_rotation);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("A remembered word loses against any word of its node, and takes nothing from one that is known") {
  Harness h;
  h.serve("web-1", 1, 7);
  h.remember(server("web-1", 9, 5));
  h.run(1s);
  CHECK(h.standing("web-1", 7).in_rotation);
  CHECK(h.haproxy().count("shoal") == 1);
  std::size_t wanted = 0;
  h.core->each_wanted([&](const LastServer& s) {
    ++wanted;
    CHECK(s.word.generation == announce::Generation{7, 0});
  });
  CHECK(wanted == 1);
}

TEST_CASE("What goes into the file is what is wanted in rotation") {
  Harness h;
  for (int i = 1; i <= 4; ++i) h.serve("web-" + std::to_string(i), i);
  const std::uint64_t before = h.core->registry().changes();
  h.depart("web-1", 1, 2);
  CHECK(h.core->registry().changes() > before);
  h.member("web-2", 2, MemberStatus::kFailed);
  announce::Announcement unready = Harness::word(1, 2);
  unready.state = announce::TaskState::kUnready;
  h.announce("web-3", unready);
  std::string nodes;
  h.core->each_wanted([&](const LastServer& s) { nodes += std::string(s.node.view()) + " "; });
  CHECK(nodes == "web-4 ");
}
