// Serf's logical clocks (gossip-protocol facts 5.3).
#pragma once

#include <cstdint>

namespace shoal::serf {

using LamportTime = std::uint64_t;

class LamportClock {
 public:
  /// A time this far ahead of ours is taken from a push/pull only: one forged datagram must not move the clock to where
  /// every later message is too old.
  static constexpr LamportTime kJumpMax = LamportTime{1} << 20;
  /// Beyond any honest cluster's life; never taken, since the counter must not wrap.
  static constexpr LamportTime kTimeMax = LamportTime{1} << 56;

  [[nodiscard]] LamportTime now() const { return time_; }
  void increment() { ++time_; }
  /// A time seen in a message: ours becomes later than it. False = an absurd jump, ignored.
  bool witness(LamportTime seen) { return seen <= time_ + kJumpMax && witness_state(seen); }
  /// A time seen in a push/pull.
  bool witness_state(LamportTime seen) {
    if (seen >= kTimeMax) return false;
    if (seen >= time_) time_ = seen + 1;
    return true;
  }

 private:
  LamportTime time_ = 1;  // Serf starts at 0 and increments once.
};

}  // namespace shoal::serf
