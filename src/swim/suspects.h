// The suspicions that run, by the slot of the suspect's record. Beside the records, since few are suspects at once;
// room is there for all, and touched only as it is used.
#pragma once

#include <cstdint>

#include "base/named_table.h"
#include "swim/lifeguard.h"

namespace shoal::swim {

class Suspects {
 public:
  explicit Suspects(std::size_t members_max) : list_(members_max), place_of_(members_max) {}

  /// REQUIRES: the slot is none of ours yet.
  void begin(Slot slot, const Suspicion& suspicion);
  /// REQUIRES, as all below: begun, and not ended since. The last of the list takes its place there.
  void end(Slot slot);
  [[nodiscard]] Suspicion& operator[](Slot slot);

  [[nodiscard]] std::size_t size() const { return list_.size(); }
  /// The list, in the order in which they began, but for what end() moved.
  [[nodiscard]] Slot slot_at(std::size_t i) const { return list_[i].slot; }
  [[nodiscard]] Instant deadline_at(std::size_t i) const { return list_[i].suspicion.deadline(); }

 private:
  struct Suspect {
    Slot slot = kNoSlot;
    Suspicion suspicion;
  };
  FixedVector<Suspect> list_;
  ZeroedArray<std::uint32_t> place_of_;  // In the list, by slot; of no meaning for others.
};

}  // namespace shoal::swim
