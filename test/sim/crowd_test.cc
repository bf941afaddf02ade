#include "sim/crowd.h"

#include <doctest/doctest.h>

#include "sim/cluster.h"

namespace shoal::test {
namespace {

TEST_CASE("nodes that are started as met know all of each other, and their queues tell of it") {
  ClusterOptions options;
  options.nodes = 40;
  options.members_max = 48;
  Cluster cluster(options);
  cluster.start_met(40, {{"role", "task"}});
  CHECK(cluster.now() == Instant{});
  CHECK(cluster.packets == 0);
  for (std::size_t viewer = 0; viewer < 40; ++viewer) {
    CHECK(cluster.node(viewer).members().size() == 40);
    CHECK(cluster.node(viewer).swim().members().size() == 40);
    CHECK(cluster.node(viewer).swim().others_alive() == 39);
    CHECK(cluster.tag(viewer, 7, "role") == "task");
  }
  for (std::size_t node = 0; node < 40; ++node) CHECK(cluster.all_see(node, serf::Status::kAlive));
  CHECK(cluster.node(5).swim().queue().size() == 40);
  cluster.run_for(30s);
  CHECK(cluster.node(5).swim().queue().empty());
  for (std::size_t node = 0; node < 40; ++node) CHECK(cluster.all_see(node, serf::Status::kAlive));
}

TEST_CASE("in a crowd of 200 every crash, join, leave and change is seen by all, and nobody is called failed wrongly") {
  CrowdPlan plan;
  plan.nodes = 200;
  plan.crashes = plan.joins = plan.leaves = plan.changes = 3;
  bool met = false;
  const Crowd seen = crowd(plan, 7000, [&] { met = true; });
  CHECK(met);
  CHECK(seen.wrong == "");
  CHECK(seen.false_failed == 0);
  CHECK(seen.virtual_seconds >= 60);
  // A probe, its time, then the shortest suspicion: 4 x log10(200) s.
  CHECK(seen.failed > 9);
  CHECK(seen.failed < 30);
  CHECK(seen.joined > 0);
  CHECK(seen.joined < 10);
  CHECK(seen.changed > 0);
  CHECK(seen.changed < 10);
  CHECK(seen.left > 0);
  CHECK(seen.left < 15);
}

TEST_CASE("a crowd in which somebody is called failed wrongly says so") {
  CrowdPlan plan;
  plan.nodes = 40;
  plan.crashes = plan.leaves = plan.changes = 1;
  plan.joins = 0;
  plan.frozen = 1;
  const Crowd seen = crowd(plan, 7002);
  CHECK(seen.false_failed > 0);
  CHECK(seen.wrong.find("calls failed node-39, who is well") != std::string::npos);
}

TEST_CASE("a crowd says who has not seen what in time") {
  CrowdPlan plan;
  plan.nodes = 40;
  plan.crashes = 1;
  plan.joins = plan.leaves = plan.changes = 0;
  plan.most = 22s;  // No suspicion is over two seconds after a crash.
  CHECK(crowd(plan, 7001).wrong.find("not all have seen of node-1 that it is failed") != std::string::npos);
}

}  // namespace
}  // namespace shoal::test
