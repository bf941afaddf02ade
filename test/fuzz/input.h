// Takes a fuzz input apart: what to do next, with which numbers and bytes. An input that has run out gives zeros, so
// that every prefix of an input is an input.
#pragma once

#include <algorithm>
#include <string>

#include "base/bytes.h"

namespace shoal::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint8_t u8() { return take(1).empty() ? std::uint8_t{0} : last_[0]; }
  std::uint16_t u16() {
    const std::uint8_t high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  std::uint32_t u32() {
    const std::uint32_t high = u16();
    return high << 16 | u16();
  }
  std::uint64_t u64() {
    const std::uint64_t high = u32();
    return high << 32 | u32();
  }
  /// Mostly small, as honest numbers are, sometimes any.
  std::uint64_t number() {
    const std::uint8_t kind = u8();
    return kind < 250 ? kind % 50 : kind < 253 ? u32() : u64();
  }
  bool flag() { return (u8() & 1) != 0; }
  /// At most `size` bytes.
  Bytes take(std::size_t size) {
    last_ = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(last_.size());
    return last_;
  }
  /// Behind a length of one byte.
  Bytes short_bytes() { return take(u8()); }
  /// Behind a length of two.
  Bytes bytes() { return take(u16()); }
  std::string_view short_text() { return as_text(short_bytes()); }
  Bytes rest() { return take(rest_.size()); }

 private:
  Bytes rest_;
  Bytes last_{};
};

/// A copy that the heap holds in exactly its size: what reads behind it is seen by the sanitizer.
inline std::string copy_of(Bytes bytes) { return std::string(as_text(bytes)); }

}  // namespace shoal::fuzz
