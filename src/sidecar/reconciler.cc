#include "sidecar/reconciler.h"

namespace shoal::sidecar {
namespace {

constexpr std::uint32_t kRefusalsBeforePurge = 2;  // Idle connections normally go within 15 ms of the maintenance.

NextStep bring_in(const Wanted& wanted, const Endpoint& place, const Observed& observed) {
  const bool is_verified = wanted.goal == Goal::kInRotation;
  if (!observed.present) return {is_verified ? Step::kAdd : Step::kNone};
  if (observed.is_operators()) return {};
  // The same name at another place is of no use; it goes before the right one can come.
  if (!same_place(observed.address, place)) {
    return {observed.in_maintenance() ? Step::kNone : Step::kTakeOut};
  }
  if (observed.admin != 0) return {is_verified ? Step::kBringUp : Step::kNone};
  if (observed.weight == 0) return {is_verified ? Step::kSetWeight : Step::kNone};
  return {observed.weight == wanted.weight ? Step::kNone : Step::kSetWeight};
}

NextStep take_out(const Observed& observed, bool whatever_mark) {
  if (!observed.present || observed.in_maintenance()) return {};
  if (observed.is_operators() && !whatever_mark) return {};
  return {Step::kTakeOut};
}

NextStep drain(const Observed& observed) {
  if (!observed.present || observed.is_operators()) return {};
  const bool is_drained = (observed.admin & haproxy::kAdminDrainBits) != 0 && !observed.in_maintenance();
  return {is_drained ? Step::kNone : Step::kDrain};
}

NextStep remove(const Observed& observed, Instant now) {
  if (!observed.present) return {};
  if (!observed.in_maintenance()) return take_out(observed, true);
  const Instant quiet = observed.maintenance_since + (observed.is_slot ? Duration{} : kMaintenanceBeforeDelete);
  if (now < quiet) return {Step::kNone, quiet};
  if (!observed.drained) return {};  // Its counters are being polled; that wakes us.
  if (observed.delete_refusals > 0 && observed.delete_refusals % kRefusalsBeforePurge == 0) return {Step::kPurgeIdle};
  return {Step::kDelete};
}

}  // namespace

NextStep next_step(const Wanted& wanted, const Endpoint& place, const Observed& observed, Instant now) {
  switch (wanted.goal) {
    case Goal::kNone: return {};
    case Goal::kUnverified:
    case Goal::kInRotation:
      if (observed.present && !same_place(observed.address, place) && observed.in_maintenance() &&
          !observed.is_operators()) {
        return remove(observed, now);
      }
      return bring_in(wanted, place, observed);
    case Goal::kOut: return take_out(observed, false);
    case Goal::kDrain: return drain(observed);
    case Goal::kAbsent: return remove(observed, now);
  }
  SHOAL_UNREACHABLE();
}

}  // namespace shoal::sidecar
