#include "wire/lzw.h"

#include <array>
#include <cstring>

#include "base/check.h"

namespace shoal::wire {
namespace {

constexpr std::uint32_t kClear = 256;
constexpr std::uint32_t kEnd = 257;
constexpr std::uint32_t kNoCode = 0xffffffff;
constexpr std::uint32_t kWidthMin = 9;
constexpr std::uint32_t kWidthMax = 12;
constexpr std::uint32_t kCodeMax = 4095;

class BitReader {
 public:
  explicit BitReader(Bytes bytes) : bytes_(bytes) {}

  /// kNoCode when fewer than `width` bits are left.
  std::uint32_t code(std::uint32_t width) {
    while (count_ < width) {
      if (position_ == bytes_.size()) return kNoCode;
      bits_ |= std::uint32_t{bytes_[position_++]} << count_;
      count_ += 8;
    }
    const std::uint32_t code = bits_ & ((1U << width) - 1);
    bits_ >>= width;
    count_ -= width;
    return code;
  }

 private:
  Bytes bytes_;
  std::size_t position_ = 0;
  std::uint32_t bits_ = 0;
  std::uint32_t count_ = 0;
};

// A learned string is the string before it plus one byte, so it stands in the output where that one was written: the
// table holds places, not text. A code that is used in the very step that learns it overlaps with what is being
// written; copying forward byte by byte makes that come out right.
class Decompressor {
 public:
  Decompressor(Bytes packed, MutableBytes out) : in_(packed), out_(out) {}

  LzwResult run() {
    for (;;) {
      const std::uint32_t code = in_.code(width_);
      if (code == kNoCode) return {LzwStatus::kBroken, size_};
      if (code == kEnd) return {LzwStatus::kOk, size_};
      if (code == kClear) {
        clear();
        continue;
      }
      if (code > next_) return {LzwStatus::kBroken, size_};
      learn();
      const std::size_t start = size_;
      const std::size_t length = code < kClear ? 1 : length_[code];
      if (length > out_.size() - size_) return {LzwStatus::kTooLarge, size_};
      if (code < kClear) {
        out_[size_++] = static_cast<std::uint8_t>(code);
      } else {
        for (std::size_t i = 0; i < length; ++i) out_[size_++] = out_[start_[code] + i];
      }
      last_start_ = start;
      last_length_ = length;
      step();
    }
  }

 private:
  void clear() {
    width_ = kWidthMin;
    next_ = kEnd;
    last_length_ = 0;
  }

  // What `next_` stands for: the last string and the first byte of the one to come, which will be written right behind.
  void learn() {
    if (last_length_ == 0) return;
    start_[next_] = static_cast<std::uint32_t>(last_start_);
    length_[next_] = static_cast<std::uint16_t>(last_length_ + 1);
  }

  void step() {
    ++next_;
    if (next_ < 1U << width_) return;
    if (width_ < kWidthMax) {
      ++width_;
      return;
    }
    --next_;  // Full: decode on without learning.
    last_length_ = 0;
  }

  BitReader in_;
  MutableBytes out_;
  std::size_t size_ = 0;
  std::uint32_t width_ = kWidthMin;
  std::uint32_t next_ = kEnd;  // The code to be learned next; learning begins with the second code after a clear.
  std::size_t last_start_ = 0;
  std::size_t last_length_ = 0;  // 0 = nothing to learn from. At most 3,839: one more for each learned code.
  std::array<std::uint32_t, kCodeMax + 1> start_;
  std::array<std::uint16_t, kCodeMax + 1> length_;
};

class BitWriter {
 public:
  explicit BitWriter(MutableBytes out) : out_(out) {}

  void code(std::uint32_t code, std::uint32_t width) {
    bits_ |= code << count_;
    count_ += width;
    while (count_ >= 8) {
      byte(static_cast<std::uint8_t>(bits_));
      bits_ >>= 8;
      count_ -= 8;
    }
  }
  void flush() {
    if (count_ > 0) byte(static_cast<std::uint8_t>(bits_));
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  void byte(std::uint8_t value) {
    if (size_ == out_.size()) {
      ok_ = false;
      return;
    }
    out_[size_++] = value;
  }

  MutableBytes out_;
  std::size_t size_ = 0;
  std::uint32_t bits_ = 0;
  std::uint32_t count_ = 0;
  bool ok_ = true;
};

class Compressor {
 public:
  explicit Compressor(MutableBytes out) : out_(out) { slots_.fill(0); }

  std::size_t run(Bytes plain) {
    out_.code(kClear, width_);
    if (!plain.empty()) compress(plain);
    out_.code(kEnd, width_);
    out_.flush();
    return out_.ok() ? out_.size() : 0;
  }

 private:
  // Open addressing; a slot is string (code and byte, 20 bits) << 12 | its code, 0 = free: no learned code is 0. At
  // most 3,837 strings are in it, so a free slot always ends a search.
  static constexpr std::uint32_t kSlots = 8192;

  void compress(Bytes plain) {
    std::uint32_t code = plain[0];
    for (const std::uint8_t byte : plain.subspan(1)) {
      const std::uint32_t string = code << 8 | byte;
      std::uint32_t slot = (string * 0x9e3779b1U) >> 19;
      while (slots_[slot] != 0 && slots_[slot] >> 12 != string) slot = (slot + 1) % kSlots;
      if (slots_[slot] != 0) {
        code = slots_[slot] & 0xfff;
        continue;
      }
      out_.code(code, width_);
      if (!out_.ok()) return;
      code = byte;
      if (step()) slots_[slot] = string << 12 | last_;
    }
    out_.code(code, width_);
    step();
  }

  // A data code was written: the reader learns one more. False when everything was cleared instead.
  bool step() {
    ++last_;
    if (last_ == 1U << width_) ++width_;
    if (last_ < kCodeMax) return true;
    out_.code(kClear, width_);
    width_ = kWidthMin;
    last_ = kEnd;
    slots_.fill(0);
    return false;
  }

  BitWriter out_;
  std::uint32_t width_ = kWidthMin;
  std::uint32_t last_ = kEnd;  // The code given out last.
  std::array<std::uint32_t, kSlots> slots_;
};

}  // namespace

LzwResult lzw_decompress(Bytes packed, MutableBytes out) {
  SHOAL_ASSERT(out.size() <= 0xffffffff);  // Places in it are kept in 32 bits.
  return Decompressor(packed, out).run();
}

std::size_t lzw_compress(Bytes plain, MutableBytes out) { return Compressor(out).run(plain); }

}  // namespace shoal::wire
