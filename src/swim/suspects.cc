#include "swim/suspects.h"

namespace shoal::swim {

void Suspects::begin(Slot slot, const Suspicion& suspicion) {
  place_of_[slot] = static_cast<std::uint32_t>(list_.size());
  list_.push_back({slot, suspicion});
}

void Suspects::end(Slot slot) {
  const std::uint32_t place = place_of_[slot];
  SHOAL_ASSERT(list_[place].slot == slot);
  list_.swap_erase(place);
  if (place < list_.size()) place_of_[list_[place].slot] = place;
}

Suspicion& Suspects::operator[](Slot slot) {
  Suspect& suspect = list_[place_of_[slot]];
  SHOAL_ASSERT(suspect.slot == slot);
  return suspect.suspicion;
}

}  // namespace shoal::swim
