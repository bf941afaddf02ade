// Containers whose memory is fixed when they are made: no type here ever grows. A full container says so; what to do
// then (drop and count, refuse, assert) is its owner's decision.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace shoal {

/// Text of at most `kCapacity` bytes, stored in place.
template <std::size_t kCapacity>
class FixedString {
 public:
  FixedString() = default;
  /// REQUIRES: `text` fits. Use `assign` for input from outside.
  FixedString(std::string_view text) { SHOAL_ASSERT(assign(text)); }  // NOLINT: implicit on purpose

  /// False when `text` does not fit: then nothing has changed.
  [[nodiscard]] bool assign(std::string_view text) {
    if (text.size() > kCapacity) return false;
    if (!text.empty()) std::memmove(data_.data(), text.data(), text.size());
    size_ = static_cast<std::uint32_t>(text.size());
    return true;
  }
  /// Takes as much as fits.
  void assign_cut(std::string_view text) { SHOAL_ASSERT(assign(text.substr(0, kCapacity))); }
  [[nodiscard]] bool append(std::string_view text) {
    if (text.size() > kCapacity - size_) return false;
    if (!text.empty()) std::memmove(data_.data() + size_, text.data(), text.size());
    size_ += static_cast<std::uint32_t>(text.size());
    return true;
  }
  void clear() { size_ = 0; }

  [[nodiscard]] std::string_view view() const { return {data_.data(), size_}; }
  operator std::string_view() const { return view(); }  // NOLINT: a string is a view of itself
  [[nodiscard]] Bytes bytes() const { return as_bytes(view()); }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] static constexpr std::size_t capacity() { return kCapacity; }
  friend bool operator==(const FixedString& a, std::string_view b) { return a.view() == b; }
  friend bool operator==(const FixedString& a, const FixedString& b) { return a.view() == b.view(); }

 private:
  std::uint32_t size_ = 0;
  std::array<char, kCapacity> data_;  // Uninitialised beyond size_: untouched pages cost nothing.
};

/// Bytes of at most `kCapacity`, stored in place.
template <std::size_t kCapacity>
class FixedBytes {
 public:
  [[nodiscard]] bool assign(Bytes bytes) { return text_.assign(as_text(bytes)); }
  void clear() { text_.clear(); }
  [[nodiscard]] Bytes view() const { return text_.bytes(); }
  [[nodiscard]] bool empty() const { return text_.empty(); }
  [[nodiscard]] std::size_t size() const { return text_.size(); }
  friend bool operator==(const FixedBytes& a, const FixedBytes& b) { return a.text_ == b.text_; }

 private:
  FixedString<kCapacity> text_;
};

/// A vector of at most `capacity` values; the memory is reserved once and touched only as it is used.
template <typename T>
class FixedVector {
 public:
  explicit FixedVector(std::size_t capacity)
      : memory_(capacity == 0 ? nullptr : std::allocator<T>{}.allocate(capacity)), capacity_(capacity) {}
  ~FixedVector() {
    clear();
    if (memory_ != nullptr) std::allocator<T>{}.deallocate(memory_, capacity_);
  }
  FixedVector(FixedVector&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)),
        capacity_(std::exchange(other.capacity_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  FixedVector(const FixedVector&) = delete;
  FixedVector& operator=(const FixedVector&) = delete;
  FixedVector& operator=(FixedVector&&) = delete;

  [[nodiscard]] bool full() const { return size_ == capacity_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

  /// REQUIRES: not full.
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    SHOAL_ASSERT(!full());
    T* slot = ::new (static_cast<void*>(memory_ + size_)) T(std::forward<Args>(args)...);
    ++size_;
    return *slot;
  }
  T& push_back(T value) { return emplace_back(std::move(value)); }
  void pop_back() {
    SHOAL_ASSERT(size_ > 0);
    memory_[--size_].~T();
  }
  /// Keeps the order; moves everything behind `index` up by one. REQUIRES: not full, index <= size().
  void insert(std::size_t index, T value) {
    SHOAL_ASSERT(index <= size_);
    emplace_back(std::move(value));
    if (index + 1 == size_) return;
    T moved = std::move(memory_[size_ - 1]);
    std::move_backward(memory_ + index, memory_ + size_ - 1, memory_ + size_);  // One memmove for plain values.
    memory_[index] = std::move(moved);
  }
  /// Keeps the order.
  void erase(std::size_t index) {
    SHOAL_ASSERT(index < size_);
    std::move(memory_ + index + 1, memory_ + size_, memory_ + index);
    pop_back();
  }
  /// Does not keep the order: the last one takes the place.
  void swap_erase(std::size_t index) {
    SHOAL_ASSERT(index < size_);
    if (index + 1 != size_) memory_[index] = std::move(memory_[size_ - 1]);
    pop_back();
  }
  void clear() {
    while (size_ > 0) pop_back();
  }

  T& operator[](std::size_t i) {
    SHOAL_ASSERT(i < size_);
    return memory_[i];
  }
  const T& operator[](std::size_t i) const {
    SHOAL_ASSERT(i < size_);
    return memory_[i];
  }
  T& back() { return (*this)[size_ - 1]; }
  T* begin() { return memory_; }
  T* end() { return memory_ + size_; }
  const T* begin() const { return memory_; }
  const T* end() const { return memory_ + size_; }
  [[nodiscard]] std::span<const T> view() const { return {memory_, size_}; }

 private:
  T* memory_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

/// A vector of at most `kCapacity` values inside its owner.
template <typename T, std::size_t kCapacity>
class InlineVector {
 public:
  [[nodiscard]] bool full() const { return size_ == kCapacity; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  T& push_back(T value) {
    SHOAL_ASSERT(!full());
    values_[size_] = std::move(value);
    return values_[size_++];
  }
  void erase(std::size_t index) {
    SHOAL_ASSERT(index < size_);
    for (std::size_t i = index; i + 1 < size_; ++i) values_[i] = std::move(values_[i + 1]);
    --size_;
  }
  void clear() { size_ = 0; }
  T& operator[](std::size_t i) {
    SHOAL_ASSERT(i < size_);
    return values_[i];
  }
  const T& operator[](std::size_t i) const {
    SHOAL_ASSERT(i < size_);
    return values_[i];
  }
  T* begin() { return values_.data(); }
  T* end() { return values_.data() + size_; }
  const T* begin() const { return values_.data(); }
  const T* end() const { return values_.data() + size_; }

 private:
  std::array<T, kCapacity> values_{};
  std::size_t size_ = 0;
};

/// First in, first out, at most `capacity` values.
template <typename T>
class Ring {
 public:
  explicit Ring(std::size_t capacity) : values_(std::make_unique<T[]>(capacity)), capacity_(capacity) {}
  [[nodiscard]] bool full() const { return size_ == capacity_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  /// REQUIRES: not full.
  T& push(T value) {
    SHOAL_ASSERT(!full());
    T& slot = values_[(first_ + size_++) % capacity_];
    slot = std::move(value);
    return slot;
  }
  T pop() {
    SHOAL_ASSERT(!empty());
    T value = std::move(values_[first_]);
    first_ = (first_ + 1) % capacity_;
    --size_;
    return value;
  }
  /// 0 is the oldest.
  T& operator[](std::size_t i) {
    SHOAL_ASSERT(i < size_);
    return values_[(first_ + i) % capacity_];
  }
  void clear() { size_ = 0; }

 private:
  std::unique_ptr<T[]> values_;
  std::size_t capacity_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

/// `size` plain values, all zero at first; the memory is touched only as it is used.
template <typename T>
class ZeroedArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  explicit ZeroedArray(std::size_t size) : memory_(static_cast<T*>(std::calloc(size + 1, sizeof(T)))), size_(size) {
    SHOAL_ASSERT(memory_ != nullptr);
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  T& operator[](std::size_t i) {
    SHOAL_ASSERT(i < size_);
    return memory_.get()[i];
  }
  const T& operator[](std::size_t i) const {
    SHOAL_ASSERT(i < size_);
    return memory_.get()[i];
  }
  T* begin() { return memory_.get(); }
  T* end() { return memory_.get() + size_; }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T, Free> memory_;
  std::size_t size_;
};

/// Values that come and go, each at a place of its own that stays while it lives.
template <typename T>
class Pool {
 public:
  explicit Pool(std::size_t capacity) : values_(capacity), free_(capacity) {}
  [[nodiscard]] bool full() const { return free_.empty() && values_.full(); }
  /// Where it is from now on. REQUIRES: not full.
  std::uint32_t put(const T& value) {
    if (free_.empty()) {
      values_.emplace_back(value);
      return static_cast<std::uint32_t>(values_.size() - 1);
    }
    const std::uint32_t place = free_.back();
    free_.pop_back();
    values_[place] = value;
    return place;
  }
  /// REQUIRES: put there, and not taken away since.
  void take_away(std::uint32_t place) { free_.push_back(place); }
  T& operator[](std::uint32_t place) { return values_[place]; }
  const T& operator[](std::uint32_t place) const { return values_[place]; }

 private:
  FixedVector<T> values_;
  FixedVector<std::uint32_t> free_;
};

/// Raw bytes reserved once; pages are touched only as they are used.
class Buffer {
 public:
  explicit Buffer(std::size_t size)
      : memory_(size == 0 ? nullptr : std::allocator<std::uint8_t>{}.allocate(size)), size_(size) {}
  ~Buffer() {
    if (memory_ != nullptr) std::allocator<std::uint8_t>{}.deallocate(memory_, size_);
  }
  Buffer(Buffer&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer& operator=(Buffer&&) = delete;
  [[nodiscard]] MutableBytes bytes() { return {memory_, size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Forgets what is in it. When that was much (`used` bytes, about), the pages go back to the system until they are
  /// touched again: what is rarely large should not be resident for ever.
  void give_back(std::size_t used);

 private:
  static constexpr std::size_t kWorthGivingBack = 64 * 1024;

  std::uint8_t* memory_;
  std::size_t size_;
};

/// From a name to the index of the record that holds it. Holds no name itself: the owner passes a function that gives
/// the name of an index. At most `capacity` entries, open addressing, never iterated.
class NameIndex {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  explicit NameIndex(std::size_t capacity, std::uint64_t seed = 0);

  template <typename NameOf>
  [[nodiscard]] std::uint32_t find(std::string_view name, NameOf&& name_of) const {
    for (std::size_t i = slot_of(name);; i = (i + 1) & mask_) {
      const std::uint32_t entry = slots_[i];
      if (entry == kEmpty) return kNone;
      if (name_of(entry - 1) == name) return entry - 1;
    }
  }
  /// REQUIRES: the name is not in the index, fewer than `capacity` entries.
  void insert(std::string_view name, std::uint32_t index);
  /// The record `from` now lives at index `to`. REQUIRES: present.
  template <typename NameOf>
  void move(std::string_view name, std::uint32_t to, NameOf&& name_of) {
    for (std::size_t i = slot_of(name);; i = (i + 1) & mask_) {
      SHOAL_ASSERT(slots_[i] != kEmpty);
      if (name_of(slots_[i] - 1) == name) {
        slots_[i] = to + 1;
        return;
      }
    }
  }
  /// Does nothing when the name is not there.
  template <typename NameOf>
  void erase(std::string_view name, NameOf&& name_of) {
    std::size_t hole = slot_of(name);
    while (slots_[hole] != kEmpty && name_of(slots_[hole] - 1) != name) hole = (hole + 1) & mask_;
    if (slots_[hole] == kEmpty) return;
    // Close the gap, so that a later search does not stop too early.
    for (std::size_t i = (hole + 1) & mask_; slots_[i] != kEmpty; i = (i + 1) & mask_) {
      const std::size_t home = slot_of(name_of(slots_[i] - 1));
      if (((i - home) & mask_) >= ((i - hole) & mask_)) {
        slots_[hole] = slots_[i];
        hole = i;
      }
    }
    slots_[hole] = kEmpty;
    --size_;
  }
  void clear();
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static constexpr std::uint32_t kEmpty = 0;
  [[nodiscard]] std::size_t slot_of(std::string_view name) const;

  std::size_t mask_;
  ZeroedArray<std::uint32_t> slots_;  // Each the index plus one; 0 is none, so that untouched memory is empty.
  std::size_t capacity_;
  std::size_t size_ = 0;
  std::uint64_t seed_;
};

}  // namespace shoal
