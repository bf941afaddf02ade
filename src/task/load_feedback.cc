#include "task/load_feedback.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace shoal::task {
namespace {

constexpr std::uint32_t kWindowBits = (1U << LoadFeedback::kWindow) - 1;
constexpr int kSaturated = 6;
constexpr int kRelaxed = 1;

}  // namespace

LoadFeedback::LoadFeedback(std::uint16_t whole, Instant now)
    : whole_(whole),
      least_(std::max<std::uint16_t>(1, whole / 10)),
      step_most_(std::max<std::uint16_t>(1, whole / 10)),
      weight_(whole),
      changed_at_(now) {
  SHOAL_ASSERT(whole > 0);
}

void LoadFeedback::start(Instant now) {
  weight_ = whole_;
  saturated_at_ = 0;
  changed_at_ = now;
  readings_ = 0;
  window_ = 0;
}

std::optional<std::uint16_t> LoadFeedback::on_reading(Instant now, const QueueReading& reading) {
  window_ = (window_ << 1 | (reading.depth > 0 ? 1U : 0U)) & kWindowBits;
  ++readings_;
  if (readings_ < kWindow || now - changed_at_ < kBetweenChanges) return std::nullopt;
  const int busy = std::popcount(window_);
  if (busy >= kSaturated) {
    if (weight_ == least_) return std::nullopt;
    saturated_at_ = weight_;
    return change_to(now, std::max<std::uint16_t>(least_, static_cast<std::uint16_t>(weight_ * 7 / 10)));
  }
  if (busy > kRelaxed || weight_ == whole_) return std::nullopt;
  const int step = std::clamp<int>(weight_ / 4, 1, step_most_);
  const auto next = static_cast<std::uint16_t>(std::min<int>(whole_, weight_ + step));
  const bool into_limit = saturated_at_ != 0 && next >= saturated_at_;
  if (now - changed_at_ < (into_limit ? kUpIntoLimit : kUpEvery)) return std::nullopt;
  if (into_limit) saturated_at_ = 0;
  return change_to(now, next);
}

std::optional<std::uint16_t> LoadFeedback::change_to(Instant now, std::uint16_t weight) {
  weight_ = weight;
  changed_at_ = now;
  readings_ = 0;
  return weight_;
}

}  // namespace shoal::task
