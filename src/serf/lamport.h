// Serf's logical clocks (gossip-protocol facts 5.3).
#pragma once

#include <algorithm>
#include <cstdint>

namespace shoal::serf {

using LamportTime = std::uint64_t;

class LamportClock {
 public:
  /// A time this far ahead of ours is taken from a push/pull only: one forged datagram must not move the clock to where
  /// every later message is too old.
  static constexpr LamportTime kJumpMax = LamportTime{1} << 20;
  /// Beyond any honest cluster's life. A push/pull moves a clock here at most, and whose clock is here goes on,
  /// followed by everybody: were this the end, one push/pull with this time would silence a cluster for good.
  static constexpr LamportTime kTimeMax = LamportTime{1} << 56;
  static constexpr LamportTime kBeyondMax = LamportTime{1} << 28;  // Beyond it, by one push/pull.
  /// Never taken from anybody, since the counter must not wrap.
  static constexpr LamportTime kTimeAbsurd = kTimeMax + (LamportTime{1} << 48);

  [[nodiscard]] LamportTime now() const { return time_; }
  void increment() { ++time_; }
  /// A time seen in a message: ours becomes later than it. False = an absurd jump, ignored.
  bool witness(LamportTime seen) { return seen <= time_ + kJumpMax && seen < kTimeAbsurd && advance(seen); }
  /// A time seen in a push/pull.
  bool witness_state(LamportTime seen) {
    if (seen >= kTimeAbsurd) return false;
    return advance(seen <= std::max(time_, kTimeMax) + kBeyondMax ? seen : kTimeMax);
  }

 private:
  bool advance(LamportTime seen) {
    if (seen >= time_) time_ = seen + 1;
    return true;
  }
  LamportTime time_ = 1;  // Serf starts at 0 and increments once.
};

}  // namespace shoal::serf
