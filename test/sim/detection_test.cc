// How soon a crash is noticed, over many seeds, against what SWIM (Das, Gupta, Motivala 2002) predicts: detection after
// 1.58 intervals, whatever the size of the cluster, where all probe in step and a crash falls between two steps. Here
// the ticks are spread, so that somebody's probe of the crashed member begins after one interval in the mean, and it
// takes another interval to fail.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "sim/cluster.h"

namespace shoal::test {
namespace {

using serf::Status;

double seconds(Duration d) { return static_cast<double>(to_ms(d)) / 1000.0; }

struct Detection {
  double suspected = 0;  // By anybody, in seconds since the crash.
  double failed = 0;
};

Detection detect(std::uint64_t seed, std::size_t nodes) {
  Cluster cluster(seed, nodes, swim::lan_timing());
  for (std::size_t i = 0; i < nodes; ++i) cluster.start(i, 0);
  const std::size_t victim = nodes / 2;
  REQUIRE(cluster.run_until(30s, [&] { return cluster.all_see(victim, Status::kAlive); }));
  Rng rng(seed);
  cluster.run_for(3s + rng.below(Duration(2s)));
  cluster.crash(victim);
  const Instant crash = cluster.now();
  const auto anybody = [&](auto&& sees) {
    for (std::size_t viewer = 0; viewer < nodes; ++viewer) {
      if (viewer != victim && sees(viewer)) return true;
    }
    return false;
  };
  Detection out;
  REQUIRE(cluster.run_until(60s, [&] {
    return anybody([&](std::size_t viewer) {
      const swim::Members& members = cluster.node(viewer).swim().members();
      return members[members.find(Cluster::name(victim))].state == swim::State::kSuspect;
    });
  }));
  out.suspected = seconds(cluster.now() - crash);
  REQUIRE(cluster.run_until(60s, [&] {
    return anybody([&](std::size_t viewer) { return cluster.status(viewer, victim) == Status::kFailed; });
  }));
  out.failed = seconds(cluster.now() - crash);
  return out;
}

TEST_CASE("a crash is first noticed as soon as SWIM says, and as soon in a large cluster as in a small one") {
  for (const std::size_t nodes : {8, 24}) {
    CAPTURE(nodes);
    constexpr int kSeeds = 60;
    double suspected = 0, failed = 0, latest = 0;
    for (int i = 0; i < kSeeds; ++i) {
      const Detection d = detect(20260300 + static_cast<std::uint64_t>(i), nodes);
      CHECK(d.suspected >= 0.5);  // Not before a ping's timeout.
      suspected += d.suspected / kSeeds;
      failed += d.failed / kSeeds;
      latest = std::max(latest, d.suspected);
    }
    CAPTURE(suspected);
    CAPTURE(failed);
    CAPTURE(latest);
    const double waited = suspected - 1.0;  // The failing probe's own interval.
    CHECK(waited > 0.6);
    CHECK(waited < 1.6);
    CHECK(latest < 9.0);
    // With all confirmations the suspicion lasts 4 s for up to ten members, 5.52 s for 24; those take a few probes.
    CHECK(failed - suspected > (nodes == 8 ? 3.9 : 5.4));
    CHECK(failed - suspected < (nodes == 8 ? 6.5 : 8.0));
  }
}

}  // namespace
}  // namespace shoal::test
