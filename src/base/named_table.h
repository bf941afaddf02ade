// Records found by name, at most `capacity` of them, in slots that stay put while a record lives. `T` has a member
// `name` from which a `std::string_view` can be made. The order of slots() is the owner's to shuffle.
#pragma once

#include <cstdint>

#include "base/containers.h"

namespace shoal {

using Slot = std::uint32_t;
inline constexpr Slot kNoSlot = NameIndex::kNone;

template <typename T>
class NamedTable {
 public:
  explicit NamedTable(std::size_t capacity, std::uint64_t hash_seed = 0)
      : records_(capacity), free_(capacity), order_(capacity), index_(capacity, hash_seed) {}

  [[nodiscard]] Slot find(std::string_view name) const {
    return index_.find(name, [this](Slot slot) { return std::string_view(records_[slot].name); });
  }
  /// A fresh record with this name, last in the order. REQUIRES: not full, the name is not there and fits.
  template <typename Name>
  Slot insert(Name&& name) {
    SHOAL_ASSERT(!full());
    Slot slot = 0;
    if (free_.empty()) {
      slot = static_cast<Slot>(records_.size());
      records_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    records_[slot].name = decltype(T::name)(std::forward<Name>(name));
    index_.insert(std::string_view(records_[slot].name), slot);
    order_.push_back(slot);
    return slot;
  }
  /// The last one of the order takes the place of the erased one, whose record is a fresh one from now on.
  void erase(Slot slot) {
    index_.erase(std::string_view(records_[slot].name), [this](Slot s) { return std::string_view(records_[s].name); });
    for (std::size_t i = 0; i < order_.size(); ++i) {
      if (order_[i] == slot) {
        order_.swap_erase(i);
        break;
      }
    }
    records_[slot] = T{};
    free_.push_back(slot);
  }

  T& operator[](Slot slot) { return records_[slot]; }
  const T& operator[](Slot slot) const { return records_[slot]; }

  [[nodiscard]] bool full() const { return order_.full(); }
  [[nodiscard]] std::size_t size() const { return order_.size(); }
  [[nodiscard]] std::size_t capacity() const { return order_.capacity(); }
  [[nodiscard]] std::span<const Slot> slots() const { return order_.view(); }
  [[nodiscard]] std::span<Slot> order() { return {order_.begin(), order_.size()}; }

 private:
  FixedVector<T> records_;
  FixedVector<Slot> free_;
  FixedVector<Slot> order_;
  NameIndex index_;
};

}  // namespace shoal
