#include "base/containers.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "base/hash.h"

namespace shoal {

void Buffer::give_back(std::size_t used) {
  if (used < kWorthGivingBack) return;
  const auto page = static_cast<std::uintptr_t>(::getpagesize());
  // Whole pages only: what is before and behind them is somebody else's.
  const auto begin = (reinterpret_cast<std::uintptr_t>(memory_) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(memory_) + size_) / page * page;
  if (begin < end) static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
}

NameIndex::NameIndex(std::size_t capacity, std::uint64_t seed)
    : mask_(std::bit_ceil(capacity * 2 + 2) - 1), slots_(mask_ + 1), capacity_(capacity), seed_(seed) {}

void NameIndex::clear() {
  std::fill(slots_.begin(), slots_.end(), kEmpty);
  size_ = 0;
}

void NameIndex::insert(std::string_view name, std::uint32_t index) {
  SHOAL_ASSERT(size_ < capacity_ && index != kNone);
  std::size_t i = slot_of(name);
  while (slots_[i] != kEmpty) i = (i + 1) & mask_;
  slots_[i] = index + 1;
  ++size_;
}

std::size_t NameIndex::slot_of(std::string_view name) const {
  return static_cast<std::size_t>(hash64(as_bytes(name), seed_)) & mask_;
}

}  // namespace shoal
