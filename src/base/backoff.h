// How long to wait before a process that has ended is started again.
#pragma once

#include <algorithm>

#include "base/rng.h"
#include "base/time.h"

namespace shoal {

/// The first restart comes at once (whoever is away fails every request), the next after 1 s, then twice as long
/// each time up to 30 s. A process that was up for a minute starts from the beginning. All with jitter.
class Backoff {
 public:
  static constexpr Duration kAtOnce = 50ms;  // Long enough for what the dead one left behind to end too.
  static constexpr Duration kFirst = 1s;
  static constexpr Duration kMost = 30s;
  static constexpr Duration kSteadyAfter = 60s;

  [[nodiscard]] Duration next(Duration was_up, Rng& rng) {
    if (was_up >= kSteadyAfter) wait_ = Duration{};
    const Duration wait = wait_ == Duration{} ? kAtOnce : wait_;
    wait_ = wait_ == Duration{} ? kFirst : std::min(2 * wait_, kMost);
    return rng.jittered(wait);
  }

 private:
  Duration wait_{};  // Zero: the next one is the first.
};

}  // namespace shoal
