#include "sidecar/floor.h"

#include <algorithm>

namespace shoal::sidecar {

void Look::take(Instant now, VerifyResult said) {
  const bool silent = said == VerifyResult::kTimedOut || said == VerifyResult::kUnreachable;
  if (!silent) silent_since = kNever;
  if (silent && silent_since == kNever) silent_since = now;
  state = State::kIdle;
  answered = true;
  result = said;
  at = now;
}

std::uint32_t least_staying(std::uint32_t whole, std::uint32_t floor_percent) {
  const std::uint64_t share = (std::uint64_t{whole} * floor_percent + 99) / 100;
  return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(share));
}

Ruling rule(Instant now, Ask ask, const Look& look, const PoolShare& others, std::uint32_t least) {
  if (ask == Ask::kNothing) return Ruling::kLeaves;
  if (!look.is_fresh(now)) return Ruling::kWait;
  switch (look.result) {
    case VerifyResult::kRefused: return Ruling::kLeaves;
    case VerifyResult::kConnected:
      // Among many that are called gone at once those that answer are known first: the silent must not outlive them.
      return ask == Ask::kFloor && others.answering >= least ? Ruling::kLeaves : Ruling::kHold;
    case VerifyResult::kTimedOut:
    case VerifyResult::kUnreachable:
      if (ask != Ask::kFloor) return Ruling::kHold;
      if (others.staying >= least) return Ruling::kLeaves;
      return look.at - look.silent_since >= kSilentMost ? Ruling::kGivenUp : Ruling::kHold;
  }
  SHOAL_UNREACHABLE();
}

}  // namespace shoal::sidecar
