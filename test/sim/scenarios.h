// Named stories with a known end, each a few virtual minutes of a whole cluster. The table is the list; `sim list`
// prints it. Every story runs under all checkers; what it says besides is its own expectations.
#pragma once

#include <span>
#include <string>

#include "sim/checkers.h"
#include "sim/cluster.h"

namespace shoal::test {

/// A cluster with its checkers, and what stories need to tell themselves briefly. Node i is "node-i" at address i and
/// has nodes 0 and 1 as seeds, unless a story says otherwise.
class Stage {
 public:
  explicit Stage(const ClusterOptions& options) : cluster(options), checkers(cluster), rng(mix64(options.seed)) {}

  Cluster cluster;
  Checkers checkers;
  Rng rng;

  void start(std::size_t node);
  void start_as(std::size_t node, std::string_view name, std::uint32_t address);
  void start_all();
  /// All nodes start and know each other, and it has become quiet.
  void settle_all();
  void expect(bool ok, std::string_view what);
  /// Until `done`, looked at four times a second; else fail with `what`.
  template <typename Done>
  void expect_within(Duration limit, std::string_view what, Done&& done) {
    if (!cluster.run_until_every(250ms, limit, done)) cluster.fail(std::string(what));
  }
  [[nodiscard]] bool all_alive() const;
  /// The end of most stories: every view becomes right.
  void expect_agreement() { checkers.expect_convergence(cluster); }
};

struct Scenario {
  const char* name;
  const char* shows;
  std::size_t nodes;
  void (*run)(Stage& stage);
  void (*set)(ClusterOptions& options);  // Options beside the plain ones; may be nullptr.
};

[[nodiscard]] std::span<const Scenario> scenarios();
/// nullptr = there is none of that name.
[[nodiscard]] const Scenario* find_scenario(std::string_view name);

/// How a run ended.
struct Outcome {
  std::string failure;  // Empty = good.
  std::uint64_t digest = 0;
  std::uint64_t steps = 0;
  std::uint64_t packets = 0;
  Duration virtual_time{};
  [[nodiscard]] bool ok() const { return failure.empty(); }
};
[[nodiscard]] Outcome outcome_of(const Cluster& cluster);
/// `watch` is one more observer, asked nothing of; `look` is shown the cluster at the end.
struct Spectator {
  Observer* watch = nullptr;
  void (*look)(const Cluster&) = nullptr;
};
[[nodiscard]] Outcome run_scenario(const Scenario& scenario, std::uint64_t seed, const Spectator& spectator = {});

}  // namespace shoal::test
