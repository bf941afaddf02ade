// Large clusters that come up all at once through one seed, which takes 16 exchanges at a time.
#include <doctest/doctest.h>

#include <algorithm>

#include "sim/cluster.h"

namespace shoal::test {
namespace {

using serf::Status;

bool all_met(const Cluster& cluster) {
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    if (!cluster.all_see(i, Status::kAlive)) return false;
  }
  return true;
}

void check_storm(std::uint64_t seed, std::size_t nodes, Duration limit) {
  CAPTURE(seed);
  CAPTURE(nodes);
  Cluster cluster(seed, nodes, swim::lan_timing());
  for (std::size_t i = 0; i < nodes; ++i) cluster.start(i, 0, {{"role", i == 0 ? "sidecar" : "task"}});
  Instant met = kNever;
  while (cluster.now() < Instant{} + limit && met == kNever) {
    cluster.run_for(250ms);
    if (all_met(cluster)) met = cluster.now();
  }
  CHECK(met != kNever);
  // It was a storm: the seed had to turn some away, and each of them got in later.
  const auto& refused = cluster.node(0).swim().counters().refused;
  CHECK(refused[static_cast<std::size_t>(swim::Refusal::kTooManyStreams)] > 0);
  std::vector<bool> joined(nodes);
  for (const auto& [node, ok] : cluster.joins) joined[node] = joined[node] || ok;
  CHECK(std::count(joined.begin() + 1, joined.end(), true) == static_cast<std::ptrdiff_t>(nodes - 1));
  // And it stays quiet afterwards: nobody takes anybody for dead.
  cluster.run_for(20s);
  CHECK(all_met(cluster));
  CHECK(std::none_of(cluster.events.begin(), cluster.events.end(),
                     [](const auto& e) { return e.kind == serf::MemberEventKind::kFailed; }));
  CHECK(cluster.packet_bytes_most <= 1405);
}

TEST_CASE("a hundred nodes that join one seed at once all know each other within 10 s, and nobody is failed") {
  check_storm(20260201, 100, 10s);
}

TEST_CASE("two hundred nodes that join one seed at once all know each other within 15 s, and nobody is failed") {
  check_storm(20260202, 200, 15s);
}

}  // namespace
}  // namespace shoal::test
