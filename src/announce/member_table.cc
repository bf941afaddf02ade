#include "announce/member_table.h"

namespace shoal::announce {

std::uint32_t MemberTable::add(std::string_view name) {
  std::uint32_t slot = first_free_;
  if (slot != kNone) {
    first_free_ = records_[slot].next_free;
    records_[slot] = MemberRecord{};
  } else {
    if (records_.full()) return kNone;
    slot = static_cast<std::uint32_t>(records_.size());
    records_.emplace_back();
  }
  records_[slot].name = NodeName(name);
  index_.insert(name, slot);
  return slot;
}

void MemberTable::remove(std::uint32_t slot) {
  SHOAL_ASSERT(!records_[slot].name.empty());
  index_.erase(records_[slot].name, [this](std::uint32_t i) { return records_[i].name.view(); });
  records_[slot].name.clear();
  records_[slot].next_free = first_free_;
  first_free_ = slot;
}

}  // namespace shoal::announce
