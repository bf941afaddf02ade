#include "base/containers.h"

#include <bit>

#include "base/hash.h"

namespace shoal {

NameIndex::NameIndex(std::size_t capacity, std::uint64_t seed)
    : mask_(std::bit_ceil(capacity * 2 + 2) - 1), capacity_(capacity), seed_(seed) {
  slots_ = std::make_unique<std::uint32_t[]>(mask_ + 1);
  clear();
}

void NameIndex::clear() {
  for (std::size_t i = 0; i <= mask_; ++i) slots_[i] = kNone;
  size_ = 0;
}

void NameIndex::insert(std::string_view name, std::uint32_t index) {
  SHOAL_ASSERT(size_ < capacity_);
  std::size_t i = slot_of(name);
  while (slots_[i] != kNone) i = (i + 1) & mask_;
  slots_[i] = index;
  ++size_;
}

std::size_t NameIndex::slot_of(std::string_view name) const {
  return static_cast<std::size_t>(hash64(as_bytes(name), seed_)) & mask_;
}

}  // namespace shoal
