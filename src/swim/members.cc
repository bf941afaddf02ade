#include "swim/members.h"

namespace shoal::swim {

std::string_view to_text(State state) {
  switch (state) {
    case State::kAlive: return "alive";
    case State::kSuspect: return "suspect";
    case State::kDead: return "dead";
    case State::kLeft: return "left";
  }
  SHOAL_UNREACHABLE();
}

bool compatible(const Versions& versions) {
  const auto [pmin, pmax, pcur, dmin, dmax, dcur] = versions;
  if (pmin == 0 || pmax == 0 || pmin > pmax || dmin > dmax) return false;
  return pmin <= 2 && pmax >= 2 && pcur >= pmin && pcur <= pmax && dcur >= 2 && dcur <= 5;
}

Slot Members::insert(std::string_view name, Rng& rng, Slot keep) {
  if (table_.full()) {
    Slot victim = oldest(State::kLeft, keep);
    if (victim == kNoSlot) victim = oldest(State::kDead, keep);
    if (victim == kNoSlot) return kNoSlot;
    erase(victim);
  }
  const Slot slot = table_.insert(texts_.intern(name));
  const std::span<Slot> order = table_.order();
  std::swap(order[rng.below(order.size())], order.back());
  return slot;
}

Slot Members::oldest(State state, Slot keep) const {
  Slot found = kNoSlot;
  for (const Slot slot : table_.slots()) {
    if (table_[slot].state != state || slot == keep) continue;
    if (found == kNoSlot || table_[slot].state_change < table_[found].state_change) found = slot;
  }
  return found;
}

}  // namespace shoal::swim
