// Whole clusters on virtual time: what one node cannot show. Each case prints its seed when it fails.
#include "sim/cluster.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace shoal::test {
namespace {

using serf::Status;

constexpr std::uint64_t kSeed = 20260101;
constexpr wire::TagFilter kTasks[] = {{"role", "task"}};

/// `n` nodes that joined node 0 and know each other.
void join_all(Cluster& cluster, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    cluster.start(i, 0, {{"role", i == 0 ? "sidecar" : "task"}, {"state", "starting"}});
  const bool met = cluster.run_until(30s, [&] {
    for (std::size_t i = 0; i < n; ++i) {
      if (!cluster.all_see(i, Status::kAlive)) return false;
    }
    return true;
  });
  REQUIRE(met);
}

std::size_t count_events(const Cluster& cluster, serf::MemberEventKind kind) {
  return static_cast<std::size_t>(
      std::count_if(cluster.events.begin(), cluster.events.end(), [kind](const auto& e) { return e.kind == kind; }));
}

TEST_CASE("fifty nodes that join one seed all see each other with their tags within seconds") {
  Cluster cluster(kSeed, 50, swim::lan_timing());
  join_all(cluster, 50);
  CHECK(cluster.now() < Instant{} + 5s);
  for (std::size_t viewer = 0; viewer < 50; ++viewer) {
    CHECK(cluster.tag(viewer, 0, "role") == "sidecar");
    CHECK(cluster.tag(viewer, 49, "role") == "task");
  }
}

TEST_CASE("a crashed node is failed in all fifty views, not before its suspicion is over and not long after") {
  Cluster cluster(kSeed + 1, 50, swim::lan_timing());
  join_all(cluster, 50);
  cluster.run_for(5s);
  const Instant crash = cluster.now();
  cluster.crash(17);
  // Suspicion for 50 members is 4 x 1.698 x 1 s at least, after a probe that takes a second.
  const bool all = cluster.run_until(60s, [&] { return cluster.all_see(17, Status::kFailed); });
  CHECK(all);
  CHECK(cluster.now() - crash > 7s);
  CHECK(cluster.now() - crash < 15s);
  for (const auto& e : cluster.events) {
    if (e.kind == serf::MemberEventKind::kFailed) CHECK(e.about == Cluster::name(17));
  }
}

TEST_CASE("a node that leaves is left everywhere and nobody calls it failed") {
  Cluster cluster(kSeed + 2, 20, swim::lan_timing());
  join_all(cluster, 20);
  cluster.run_for(3s);
  cluster.leave(5);
  CHECK(cluster.run_until(10s, [&] { return cluster.left.count(5) > 0; }));
  cluster.crash(5);
  CHECK(cluster.run_until(10s, [&] { return cluster.all_see(5, Status::kLeft); }));
  CHECK(count_events(cluster, serf::MemberEventKind::kFailed) == 0);
}

TEST_CASE("a leave in a small cluster ends within two seconds") {
  Cluster cluster(kSeed + 3, 3, swim::lan_timing());
  join_all(cluster, 3);
  cluster.run_for(3s);
  const Instant begin = cluster.now();
  cluster.leave(2);
  CHECK(cluster.run_until(10s, [&] { return cluster.left.count(2) > 0; }));
  CHECK(cluster.now() - begin < 2s);
  CHECK(cluster.status(0, 2) == Status::kLeft);
  CHECK(cluster.status(1, 2) == Status::kLeft);
}

TEST_CASE("a node that stands still is failed, and is alive everywhere again after it goes on") {
  Cluster cluster(kSeed + 4, 10, swim::lan_timing());
  join_all(cluster, 10);
  cluster.freeze(3);
  CHECK(cluster.run_until(30s, [&] { return cluster.all_see(3, Status::kFailed); }));
  cluster.thaw(3);
  CHECK(cluster.run_until(60s, [&] { return cluster.all_see(3, Status::kAlive); }));
}

TEST_CASE("a node that stands still for two seconds refutes and is never failed") {
  Cluster cluster(kSeed + 5, 10, swim::lan_timing());
  join_all(cluster, 10);
  for (int round = 0; round < 5; ++round) {
    cluster.freeze(3);
    cluster.run_for(2s);
    cluster.thaw(3);
    cluster.run_for(20s);
  }
  CHECK(count_events(cluster, serf::MemberEventKind::kFailed) == 0);
}

TEST_CASE("changed tags reach everyone") {
  Cluster cluster(kSeed + 6, 20, swim::lan_timing());
  join_all(cluster, 20);
  cluster.set_tags(7, {{"role", "task"}, {"state", "ready"}});
  CHECK(cluster.run_until(10s, [&] {
    for (std::size_t v = 0; v < 20; ++v) {
      if (cluster.tag(v, 7, "state") != "ready") return false;
    }
    return true;
  }));
}

TEST_CASE("with a fifth of all datagrams lost nobody is failed in ten minutes") {
  NetworkOptions network;
  network.loss_ppm = 200'000;
  Cluster cluster(kSeed + 7, 16, swim::lan_timing(), network);
  join_all(cluster, 16);
  cluster.run_for(10min);
  CHECK(count_events(cluster, serf::MemberEventKind::kFailed) == 0);
}

TEST_CASE("a node whose datagrams are all lost stays a member by its TCP pings") {
  Cluster cluster(kSeed + 8, 5, swim::lan_timing());
  join_all(cluster, 5);
  cluster.cut_datagrams_only(4);
  cluster.run_for(2min);
  CHECK(cluster.all_see(4, Status::kAlive));
  CHECK(count_events(cluster, serf::MemberEventKind::kFailed) == 0);
}

TEST_CASE("two halves that were cut apart fail each other and find together again") {
  Cluster cluster(kSeed + 9, 10, swim::lan_timing());
  join_all(cluster, 10);
  for (std::size_t a = 0; a < 5; ++a) {
    for (std::size_t b = 5; b < 10; ++b) cluster.cut(a, b);
  }
  CHECK(cluster.run_until(2min, [&] {
    for (std::size_t a = 0; a < 5; ++a) {
      for (std::size_t b = 5; b < 10; ++b) {
        if (cluster.status(a, b) != Status::kFailed || cluster.status(b, a) != Status::kFailed) return false;
      }
    }
    return true;
  }));
  cluster.run_for(1min);
  cluster.heal();
  CHECK(cluster.run_until(10min, [&] {
    for (std::size_t i = 0; i < 10; ++i) {
      if (!cluster.all_see(i, Status::kAlive)) return false;
    }
    return true;
  }));
}

TEST_CASE("a node that was killed and comes back under its name is alive again within two seconds") {
  Cluster cluster(kSeed + 10, 6, swim::lan_timing());
  join_all(cluster, 6);
  cluster.crash(4);
  REQUIRE(cluster.run_until(30s, [&] { return cluster.all_see(4, Status::kFailed); }));
  const Instant back = cluster.now();
  cluster.start(4, 0, {{"role", "task"}});
  CHECK(cluster.run_until(10s, [&] { return cluster.all_see(4, Status::kAlive); }));
  CHECK(cluster.now() - back < 2s);
}

TEST_CASE("a node that is restarted at once, under its name and without a seed, knows everybody within seconds") {
  Cluster cluster(kSeed + 16, 8, swim::lan_timing());
  join_all(cluster, 8);
  cluster.run_for(5s);
  cluster.crash(0);
  cluster.start(0, 0, {{"role", "sidecar"}});
  CHECK(cluster.run_until(5s, [&] {
    for (std::size_t i = 0; i < 8; ++i) {
      if (cluster.status(0, i) != Status::kAlive) return false;
    }
    return true;
  }));
  cluster.run_for(1min);
  CHECK(count_events(cluster, serf::MemberEventKind::kFailed) == 0);
}

TEST_CASE("a direct query is answered by its addressee alone and moves nobody's clock") {
  Cluster cluster(kSeed + 11, 5, swim::lan_timing());
  join_all(cluster, 5);
  const auto clock = cluster.node(3).query_clock();
  serf::QueryToken token = 0;
  cluster.command(1, [&](serf::Node& core, Instant now, serf::Outbox& out) {
    token = core.query_direct(now, cluster.endpoint(3), serf::Route::kDatagram,
                              {.name = "solicit", .payload = as_bytes("hello")}, out);
  });
  cluster.run_for(1s);
  REQUIRE(cluster.queries.size() == 1);
  CHECK(cluster.queries[0].node == 3);
  CHECK(cluster.queries[0].source == "node-1");
  CHECK(cluster.queries[0].payload == "hello");
  const auto ref = cluster.queries[0].ref;
  cluster.command(3, [&](serf::Node& core, Instant now, serf::Outbox& out) {
    CHECK(core.respond(now, ref, as_bytes("yes"), out));
  });
  cluster.run_for(1s);
  REQUIRE(cluster.responses.size() == 1);
  CHECK(cluster.responses[0].node == 1);
  CHECK(cluster.responses[0].token == token);
  CHECK(cluster.responses[0].payload == "yes");
  CHECK(cluster.node(3).query_clock() == clock);
}

TEST_CASE("a query over TCP is answered over TCP when no datagram gets through") {
  Cluster cluster(kSeed + 12, 3, swim::lan_timing());
  join_all(cluster, 3);
  cluster.cut_datagrams_only(2);
  cluster.command(1, [&](serf::Node& core, Instant now, serf::Outbox& out) {
    CHECK(core.query_direct(now, cluster.endpoint(2), serf::Route::kStream, {.name = "announce"}, out) != 0);
  });
  cluster.run_for(1s);
  REQUIRE(cluster.queries.size() == 1);
  cluster.command(2, [&](serf::Node& core, Instant now, serf::Outbox& out) {
    CHECK(core.respond(now, cluster.queries[0].ref, as_bytes("ok"), out));
  });
  cluster.run_for(1s);
  REQUIRE(cluster.responses.size() == 1);
  CHECK(cluster.responses[0].payload == "ok");
}

TEST_CASE("a query to the cluster reaches those whose tag matches, once each, and their acks come back") {
  Cluster cluster(kSeed + 13, 20, swim::lan_timing());
  join_all(cluster, 20);
  cluster.command(9, [&](serf::Node& core, Instant now, serf::Outbox& out) {
    CHECK(core.query(now, {.name = "solicit", .tags = kTasks, .ack = true}, out) != 0);
  });
  cluster.run_for(5s);
  std::set<std::size_t> reached;
  for (const auto& query : cluster.queries) CHECK(reached.insert(query.node).second);
  CHECK(reached.size() == 19);
  CHECK(reached.count(0) == 0);  // The sidecar.
  const auto acks =
      std::count_if(cluster.responses.begin(), cluster.responses.end(), [](const auto& r) { return r.ack; });
  CHECK(acks == 19);
}

TEST_CASE("equal seeds give equal runs, packet for packet, and another seed another") {
  const auto run = [](std::uint64_t seed) {
    NetworkOptions network;
    network.loss_ppm = 50'000;
    network.duplicate_ppm = 10'000;
    Cluster cluster(seed, 12, swim::lan_timing(), network);
    join_all(cluster, 12);
    cluster.crash(3);
    cluster.run_for(1min);
    return cluster.digest();
  };
  const std::uint64_t first = run(7);
  CHECK(first == run(7));
  CHECK(first != run(8));
}

TEST_CASE("a converged cluster allocates nothing, through probes, push/pulls, a death and queries") {
  Cluster cluster(kSeed + 14, 12, swim::lan_timing());
  join_all(cluster, 12);
  cluster.run_for(2min);
  cluster.count_allocations = true;
  cluster.run_for(30min);
  cluster.crash(11);
  cluster.run_for(1min);
  cluster.command(1, [&](serf::Node& core, Instant now, serf::Outbox& out) {
    static_cast<void>(core.query(now, {.name = "solicit", .tags = kTasks}, out));
  });
  cluster.run_for(28min);
  CHECK(cluster.packets > 10'000);
  CHECK(cluster.core_allocations == 0);
}

TEST_CASE("load a member and second does not grow with the cluster") {
  const auto packets_a_member = [](std::size_t n) {
    Cluster cluster(kSeed + 15, n, swim::lan_timing());
    join_all(cluster, n);
    cluster.run_for(1min);
    const std::uint64_t before = cluster.packets;
    cluster.run_for(1min);
    return static_cast<double>(cluster.packets - before) / static_cast<double>(n) / 60.0;
  };
  CHECK(packets_a_member(8) < 3.0);
  CHECK(packets_a_member(64) < 3.0);
}

}  // namespace
}  // namespace shoal::test
