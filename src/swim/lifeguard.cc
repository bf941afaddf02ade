#include "swim/lifeguard.h"

#include <algorithm>
#include <cmath>

namespace shoal::swim {

std::uint32_t retransmit_limit(std::uint32_t mult, std::size_t n) {
  std::uint32_t digits = 0;
  for (std::size_t reach = 1; reach < n + 1; reach *= 10) ++digits;
  return mult * digits;
}

Duration suspicion_min(const Timing& timing, std::size_t n) {
  // Rounded at this one place to whole thousandths, so that compilers cannot disagree about a decision.
  const double scale = std::max(1.0, std::log10(static_cast<double>(std::max<std::size_t>(1, n))));
  const auto thousandths = static_cast<std::int64_t>(scale * 1000.0 + 1e-9);
  return timing.probe_interval * timing.suspicion_mult * thousandths / 1000;
}

Duration push_pull_scaled(Duration interval, std::size_t n) {
  std::uint32_t mult = 1;
  for (std::size_t reach = 32; reach < n; reach *= 2) ++mult;
  return interval * mult;
}

Suspicion::Suspicion(const Timing& timing, std::size_t n, std::uint64_t accuser, Instant now)
    : start_(now), min_(suspicion_min(timing, n)), max_(min_ * timing.suspicion_max_mult) {
  needed_ = timing.suspicion_mult > 2 ? timing.suspicion_mult - 2 : 0;
  needed_ = std::min<std::uint32_t>(needed_, kConfirmationsMax);
  if (n < 2 || n - 2 < needed_) needed_ = 0;  // Too few members to expect that many confirmations.
  accusers_[0] = accuser;
  deadline_ = start_ + timeout();
}

bool Suspicion::confirm(std::uint64_t accuser) {
  if (confirmations_ >= needed_) return false;
  for (std::uint32_t i = 0; i <= confirmations_; ++i) {
    if (accusers_[i] == accuser) return false;
  }
  accusers_[++confirmations_] = accuser;
  deadline_ = start_ + timeout();
  return true;
}

Duration Suspicion::timeout() const {
  if (needed_ < 1) return min_;
  const double fraction = std::log(confirmations_ + 1.0) / std::log(needed_ + 1.0);
  const double raw_ms =
      (static_cast<double>(max_.count()) - static_cast<double>((max_ - min_).count()) * fraction) / 1e6;
  const auto floor_ms = std::chrono::milliseconds(static_cast<std::int64_t>(std::floor(raw_ms + 1e-6)));
  return std::max<Duration>(min_, floor_ms);
}

}  // namespace shoal::swim
