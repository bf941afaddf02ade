// Time as the cores see it: a point and a distance, never a clock.
//
// An `Instant` counts nanoseconds since some start that only the caller knows: the loop's monotonic clock in the
// program, zero in the simulator. There is deliberately no `now()` here; the one read of a real clock lives in
// reactor/loop.cc, once a callback, and the value is passed down as an argument.
#pragma once

#include <chrono>
#include <cstdint>

namespace shoal {

using namespace std::chrono_literals;

using Duration = std::chrono::nanoseconds;

// A clock type without a `now()`: it only gives Instant a type of its own.
struct LoopClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<LoopClock, Duration>;
  static constexpr bool is_steady = true;
};

using Instant = LoopClock::time_point;

/// A deadline that never comes. Do not add to it.
inline constexpr Instant kNever = Instant::max();

/// Whole milliseconds, rounded down.
[[nodiscard]] constexpr std::int64_t to_ms(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

/// `d` times a factor, rounded towards zero.
[[nodiscard]] constexpr Duration scaled(Duration d, double factor) {
  return Duration(static_cast<std::int64_t>(static_cast<double>(d.count()) * factor));
}

[[nodiscard]] constexpr Instant earlier(Instant a, Instant b) { return a < b ? a : b; }

}  // namespace shoal
