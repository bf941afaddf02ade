// Which weight a task asks for, from its accept queue: while connections wait there, the worker has no hand free, and
// another task that has one would serve them sooner. It says something only of workers that accept no more than they
// can serve (one thread, or a fixed number of them); one that accepts everything at once has its queue inside.
//
// Each change is a round of gossip and one command to each HAProxy, so it is made seldom: a verdict needs a window of
// readings, the window begins anew with each change, and between "saturated" and "relaxed" nothing changes.
//
//   saturated   6 of 8 readings found somebody waiting    times 0.7, at least 10 % of the whole weight
//   relaxed     at most 1 of 8                            plus a quarter, at most 10 % of the whole weight
//
// Down at once, up slowly: a step each 4 s, but the step that reaches the weight at which it was saturated last only
// after 16 s, since it will probably be so again. With four readings a second a step down takes 2 s. When a whole pool
// is saturated every task asks for less alike, and the shares stay what they are.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "task/queue_gauge.h"

namespace shoal::task {

class LoadFeedback final {
 public:
  static constexpr std::uint32_t kWindow = 8;  // Readings.
  static constexpr Duration kReadEvery = 250ms;
  static constexpr Duration kBetweenChanges = 2s;
  static constexpr Duration kUpEvery = 4s;
  static constexpr Duration kUpIntoLimit = 16s;

  /// `whole`: task.weight, 1 to 256.
  LoadFeedback(std::uint16_t whole, Instant now);

  /// Begins anew, with the whole weight: another worker.
  void start(Instant now);
  /// The weight to announce from now on, when it changes.
  std::optional<std::uint16_t> on_reading(Instant now, const QueueReading& reading);

  [[nodiscard]] std::uint16_t weight() const { return weight_; }

 private:
  std::optional<std::uint16_t> change_to(Instant now, std::uint16_t weight);

  std::uint16_t whole_;
  std::uint16_t least_;
  std::uint16_t step_most_;
  std::uint16_t weight_;
  std::uint16_t saturated_at_ = 0;  // 0 = no limit is known, or it has been passed since.
  Instant changed_at_;
  std::uint32_t readings_ = 0;  // Since the last change.
  std::uint32_t window_ = 0;    // One bit a reading, the newest lowest: somebody waited.
};

}  // namespace shoal::task
