// Lifeguard's two parts that are plain numbers: how well this node itself is doing (awareness), and how long a suspect
// has to answer (suspicion). Sources: Dadgar, Phillips, Currey 2018; gossip-protocol facts 3.2 and 3.3, whose check
// values the tests repeat.
#pragma once

#include <array>
#include <cstdint>

#include "base/time.h"
#include "swim/timing.h"

namespace shoal::swim {

/// Local health: 0 is healthy. Scales only the probe interval.
class Awareness {
 public:
  explicit Awareness(std::uint32_t awareness_max) : score_max_(awareness_max == 0 ? 0 : awareness_max - 1) {}
  void apply(int delta) {
    const int next = static_cast<int>(score_) + delta;
    score_ = next < 0 ? 0 : next > static_cast<int>(score_max_) ? score_max_ : static_cast<std::uint32_t>(next);
  }
  [[nodiscard]] std::uint32_t score() const { return score_; }
  [[nodiscard]] Duration scale(Duration d) const { return d * (score_ + 1); }

 private:
  std::uint32_t score_max_;
  std::uint32_t score_ = 0;
};

/// How often a broadcast is sent in a cluster of n: mult x ceil(log10(n + 1)).
[[nodiscard]] std::uint32_t retransmit_limit(std::uint32_t mult, std::size_t n);

/// The shortest suspicion in a cluster of n.
[[nodiscard]] Duration suspicion_min(const Timing& timing, std::size_t n);

/// Push/pull grows rarer in large clusters: interval x 1 up to 32 nodes, 2 up to 64, 3 up to 128, ...
[[nodiscard]] Duration push_pull_scaled(Duration interval, std::size_t n);

/// One suspect's timer. Independent confirmations shorten it from max towards min, on a logarithmic scale.
class Suspicion {
 public:
  static constexpr std::size_t kConfirmationsMax = 16;

  Suspicion() = default;
  /// `accuser` is a hash of the name; it does not count as a confirmation of itself.
  Suspicion(const Timing& timing, std::size_t n, std::uint64_t accuser, Instant now);

  /// True when `accuser` is news; the deadline may have come nearer, even to the past.
  bool confirm(std::uint64_t accuser);
  [[nodiscard]] Instant deadline() const { return deadline_; }
  [[nodiscard]] std::uint32_t confirmations() const { return confirmations_; }

 private:
  [[nodiscard]] Duration timeout() const;

  Instant start_{};
  Instant deadline_ = kNever;
  Duration min_{};
  Duration max_{};
  std::uint32_t needed_ = 0;  // k: confirmations that bring it down to min.
  std::uint32_t confirmations_ = 0;
  std::array<std::uint64_t, kConfirmationsMax + 1> accusers_{};
};

}  // namespace shoal::swim
