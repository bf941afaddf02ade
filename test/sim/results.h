// The experiments behind docs/gossip-results.md: our cores against what SWIM and Lifeguard publish. Each gives numbers;
// results_main.cc makes the document of them, results_test.cc asserts the behaviour on small samples.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/cluster.h"

namespace shoal::test {

/// A cluster of n, all of whom know each other, at rest.
struct Rested {
  Rested(std::uint64_t seed, std::size_t nodes, const swim::Timing& timing,
         std::function<void(std::size_t, serf::NodeOptions&)> adjust = {});
  Cluster cluster;
  bool good = false;
};

struct Sample {
  std::vector<double> values;
  void add(double v) { values.push_back(v); }
  [[nodiscard]] double mean() const;
  /// q in [0, 1].
  [[nodiscard]] double quantile(double q) const;
};

/// Seconds from a crash until a living node begins the first probe that fails, until the first suspicion, and until all
/// have it failed.
struct Detection {
  Sample first_probe, first_suspicion, first_failed, all_failed;
};
[[nodiscard]] Detection detection(std::size_t nodes, int trials, std::uint64_t seed);

/// Seconds until a change of one node's tags has reached half, 99 % and all of the others; without push/pull.
struct Dissemination {
  Sample half, most, all;
  int incomplete = 0;  // Runs in which somebody had not heard after 10 s.
  double missed_ppm = 0;
};
[[nodiscard]] Dissemination dissemination(std::size_t nodes, int trials, std::uint64_t seed);

/// A minute at rest.
struct Load {
  double datagrams = 0;  // Sent, a member and second.
  double bytes = 0;
};
[[nodiscard]] Load load(std::size_t nodes, std::uint64_t seed);

/// What Lifeguard is made of, each part to be switched off.
struct Lifeguard {
  const char* name;
  bool probe, suspicion, buddy;
};
/// Some members stand still again and again: `anomalous` of `nodes`, each for `pause`, then running for `run`.
struct Anomalies {
  std::size_t nodes = 64;
  std::size_t anomalous = 8;
  Duration pause = 8s;
  Duration run = 64ms;
  Duration span = 120s;
};
struct FalsePositives {
  std::uint64_t all = 0;      // Verdicts "failed" about members that never stood still, at all members
  std::uint64_t healthy = 0;  // and at those that never stood still.
  std::uint64_t datagrams = 0, bytes = 0;
};
[[nodiscard]] FalsePositives false_positives(const Lifeguard& parts, const Anomalies& anomalies, std::uint64_t seed);

/// Of nodes that leave: how many of the others called them failed for a moment.
struct Leaves {
  std::uint64_t verdicts = 0, failed_first = 0;
  Sample seconds;  // Until the leaver's process may end.
};
[[nodiscard]] Leaves leaves(std::size_t nodes, int trials, std::uint64_t seed);

}  // namespace shoal::test
