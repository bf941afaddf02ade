// Finding the cluster and never losing it: the seeds of `gossip.join` are resolved anew and joined for ever.
//
// While no sidecar is known (by a sidecar: no other member), rounds follow each other with a growing, jittered pause.
// After that, for life and at a slow pace, each seed address that is no living member gets a push/pull: two sidecars
// that start cold with tasks of their own would otherwise never merge, and a seed that left gracefully and came back
// would never be found again (serf reconnects to failed members only).
#pragma once

#include <cstdint>

#include "serf/node.h"

namespace shoal::serf {

struct SeedOptions {
  std::size_t seeds = 0;         // How many names there are; the shell knows them by index.
  Duration keep_interval = 60s;  // The slow pace: 30 s for a sidecar, 60 s for a task.
  Duration retry_first = 250ms;
  Duration retry_most = 5s;
};

struct SeedEffect {
  enum class Kind : std::uint8_t { kResolve, kJoin };
  Kind kind = Kind::kResolve;
  std::size_t seed = 0;  // kResolve: answer with on_resolved.
  Endpoint to{};         // kJoin: Node::join.
};

class Seeds {
 public:
  static constexpr std::size_t kSeedsMax = 64;
  static constexpr std::size_t kAddressesMax = 16;  // Of one name.
  using Effects = InlineVector<SeedEffect, kSeedsMax * 2>;

  Seeds(const SeedOptions& options, Rng rng);

  void start(Instant now) { next_round_ = options_.seeds == 0 ? kNever : now; }
  /// What a seed's name stands for now; empty = could not be resolved. Addresses that are ours or a living member's are
  /// not joined.
  void on_resolved(Instant now, std::size_t seed, std::span<const Endpoint> addresses, const Node& node, Effects& out);
  /// Whether somebody worth having is known: decides between hurry and the slow pace.
  void on_contact(Instant now, bool known);
  void on_deadline(Instant now, Effects& out);

  [[nodiscard]] Instant next_deadline() const { return next_round_; }
  [[nodiscard]] bool contact() const { return contact_; }
  [[nodiscard]] std::uint64_t rounds() const { return rounds_; }

 private:
  SeedOptions options_;
  Rng rng_;
  bool contact_ = false;
  Duration pause_;
  Instant next_round_ = kNever;
  std::uint64_t rounds_ = 0;
};

}  // namespace shoal::serf
