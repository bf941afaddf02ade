// Reading and writing bytes in memory that the caller owns. Bounds-checked; the first failure sticks, so that a
// decoder can read a whole header and ask `ok()` once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace shoal {

/// Borrowed bytes: never kept past the call that was given them unless the comment there says whose they are.
using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

[[nodiscard]] inline Bytes as_bytes(std::string_view s) {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}
[[nodiscard]] inline std::string_view as_text(Bytes b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
[[nodiscard]] inline bool same_bytes(Bytes a, Bytes b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

/// Big-endian reader with sticky failure. After a failure every read gives zero or empty, and `ok()` is false.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::size_t left() const { return ok_ ? bytes_.size() - position_ : 0; }
  [[nodiscard]] Bytes rest() const { return ok_ ? bytes_.subspan(position_) : Bytes{}; }

  std::uint8_t u8() { return static_cast<std::uint8_t>(big_endian(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(big_endian(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(big_endian(4)); }
  std::uint64_t u64() { return big_endian(8); }

  /// The next `size` bytes, borrowed from the input.
  Bytes take(std::size_t size) {
    if (left() < size) return fail();
    const Bytes out = bytes_.subspan(position_, size);
    position_ += size;
    return out;
  }

  /// The next byte without consuming it; 0 at the end (which is not a failure).
  [[nodiscard]] std::uint8_t peek() const { return left() > 0 ? bytes_[position_] : std::uint8_t{0}; }

  Bytes fail() {
    ok_ = false;
    return {};
  }

 private:
  std::uint64_t big_endian(std::size_t size) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : take(size)) value = value << 8 | byte;
    return value;
  }

  Bytes bytes_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

/// Big-endian writer into the caller's memory with sticky failure: once something did not fit, `ok()` is false and
/// nothing more is written.
class ByteWriter {
 public:
  explicit ByteWriter(MutableBytes memory) : memory_(memory) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t left() const { return ok_ ? memory_.size() - size_ : 0; }
  [[nodiscard]] Bytes written() const { return memory_.first(size_); }
  /// The unwritten memory, for writing in place; followed by `advance`.
  [[nodiscard]] MutableBytes free_space() { return ok_ ? memory_.subspan(size_) : MutableBytes{}; }

  void u8(std::uint8_t v) { big_endian(v, 1); }
  void u16(std::uint16_t v) { big_endian(v, 2); }
  void u32(std::uint32_t v) { big_endian(v, 4); }
  void u64(std::uint64_t v) { big_endian(v, 8); }

  void put(Bytes bytes) {
    if (left() < bytes.size()) return fail();
    if (!bytes.empty()) std::memcpy(memory_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void put(std::string_view text) { put(as_bytes(text)); }

  void advance(std::size_t size) {
    if (left() < size) return fail();
    size_ += size;
  }

  void fail() { ok_ = false; }

 private:
  void big_endian(std::uint64_t value, std::size_t size) {
    if (left() < size) return fail();
    for (std::size_t i = 0; i < size; ++i) {
      memory_[size_ + i] = static_cast<std::uint8_t>(value >> (8 * (size - 1 - i)));
    }
    size_ += size;
  }

  MutableBytes memory_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace shoal
