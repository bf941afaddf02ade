#include "wire/lzw.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "golden.h"
#include "support/hex.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;

Memory packed(Bytes plain) {
  Memory out(plain.size() * 3 / 2 + 16);
  out.resize(lzw_compress(plain, out));
  return out;
}

// Memory of exactly `room` bytes, so that the sanitizer sees one too many.
LzwResult unpack(Bytes data, std::size_t room, Memory& out) {
  out.assign(room, 0xee);
  const LzwResult result = lzw_decompress(data, out);
  CHECK(result.size <= room);
  out.resize(result.size);
  return result;
}

Memory made(int kind, std::size_t size) {
  Rng rng(size + static_cast<std::size_t>(kind));
  Memory out(size);
  std::size_t i = 0;
  for (std::uint8_t& byte : out) {
    switch (kind) {
      case 0: byte = static_cast<std::uint8_t>(rng.next()); break;  // Noise.
      case 1: byte = 'a'; break;                                    // Each code is used as it is learned.
      case 2: byte = static_cast<std::uint8_t>("node-1 alive "[i % 13]); break;
      case 3: byte = static_cast<std::uint8_t>(rng.below(3)); break;
      case 4: byte = static_cast<std::uint8_t>(i / 300); break;
    }
    ++i;
  }
  return out;
}

TEST_CASE("LZW writes the bytes that Go writes") {
  CHECK(to_hex(packed(as_bytes("a"))) == golden("G23"));
  CHECK(to_hex(packed(as_bytes(std::string(10, 'a')))) == golden("G24"));
  CHECK(to_hex(packed(as_bytes("abababababababab"))) == golden("G25"));
  CHECK(to_hex(packed({})) == golden("G22"));
}

TEST_CASE("LZW reads the bytes that Go writes") {
  Memory out;
  CHECK(unpack(from_hex(golden("G22")), 10, out).status == LzwStatus::kOk);
  CHECK(out.empty());
  CHECK(unpack(from_hex(golden("G24")), 10, out).status == LzwStatus::kOk);
  CHECK(as_text(out) == "aaaaaaaaaa");
  CHECK(unpack(from_hex(golden("G25")), 16, out).status == LzwStatus::kOk);
  CHECK(as_text(out) == "abababababababab");
}

TEST_CASE("what was compressed comes back, across every change of width and every clear") {
  for (int kind = 0; kind < 5; ++kind) {
    for (const std::size_t size : {1U,     2U,     254U,   255U,   256U,   257U,    511U,    765U,   766U,  767U,
                                   768U,   1790U,  1791U,  1792U,  3836U,  3837U,   3838U,   3839U,  3840U, 4096U,
                                   7'674U, 7'675U, 7'676U, 7'677U, 9'999U, 20'000U, 65'535U, 70'000U}) {
      CAPTURE(kind);
      CAPTURE(size);
      const Memory plain = made(kind, size);
      const Memory small = packed(plain);
      REQUIRE(!small.empty());
      Memory out;
      REQUIRE(unpack(small, size, out).status == LzwStatus::kOk);
      REQUIRE(out == plain);
      // One byte less of room is too little, on either side.
      CHECK(unpack(small, size - 1, out).status == LzwStatus::kTooLarge);
      Memory tight(small.size() - 1);
      CHECK(lzw_compress(plain, tight) == 0);
    }
  }
}

TEST_CASE("repetition gets smaller and noise at most half as large again") {
  CHECK(packed(made(2, 70'000)).size() < 7'000);
  CHECK(packed(made(0, 70'000)).size() <= 105'010);
}

TEST_CASE("every truncation is an error") {
  for (int kind = 0; kind < 5; ++kind) {
    const Memory small = packed(made(kind, 1'000));
    Memory out;
    for (std::size_t size = 0; size < small.size(); ++size) {
      const Memory cut(small.begin(), small.begin() + static_cast<std::ptrdiff_t>(size));
      CHECK(unpack(cut, 2'000, out).status == LzwStatus::kBroken);
    }
  }
}

TEST_CASE("every flipped bit is survived within the room that is given") {
  for (int kind = 0; kind < 5; ++kind) {
    Memory small = packed(made(kind, 600));
    Memory out;
    for (std::size_t bit = 0; bit < small.size() * 8; ++bit) {
      small[bit / 8] = static_cast<std::uint8_t>(small[bit / 8] ^ 1U << bit % 8);
      (void)unpack(small, 600, out);
      small[bit / 8] = static_cast<std::uint8_t>(small[bit / 8] ^ 1U << bit % 8);
    }
  }
}

// Packs codes by hand, to say what no writer says.
class Codes {
 public:
  Codes& put(std::uint32_t code, std::uint32_t width) {
    for (std::uint32_t i = 0; i < width; ++i, ++bits_) {
      if (bits_ % 8 == 0) bytes_.push_back(0);
      bytes_.back() = static_cast<std::uint8_t>(bytes_.back() | (code >> i & 1) << bits_ % 8);
    }
    return *this;
  }
  [[nodiscard]] const Memory& bytes() const { return bytes_; }

 private:
  Memory bytes_;
  std::size_t bits_ = 0;
};

TEST_CASE("the reader needs no clear at the start, takes one anywhere, and refuses codes from the future") {
  Memory out;
  CHECK(unpack(Codes().put('x', 9).put(257, 9).bytes(), 9, out).status == LzwStatus::kOk);
  CHECK(as_text(out) == "x");
  CHECK(
      unpack(Codes().put(256, 9).put(256, 9).put('x', 9).put(256, 9).put('y', 9).put(257, 9).bytes(), 9, out).status ==
      LzwStatus::kOk);
  CHECK(as_text(out) == "xy");
  // The first code after a clear cannot be a learned one, the second only the one it makes itself.
  CHECK(unpack(Codes().put(256, 9).put(258, 9).put(257, 9).bytes(), 9, out).status == LzwStatus::kBroken);
  CHECK(unpack(Codes().put('x', 9).put(258, 9).put(257, 9).bytes(), 9, out).status == LzwStatus::kOk);
  CHECK(as_text(out) == "xxx");
  CHECK(unpack(Codes().put('x', 9).put(259, 9).put(257, 9).bytes(), 9, out).status == LzwStatus::kBroken);
}

TEST_CASE("when all codes are used up the reader goes on without learning") {
  Codes codes;
  Memory plain;
  std::uint32_t next = 257;
  std::uint32_t width = 9;
  for (int i = 0; i < 5'000; ++i) {  // Literals only, and never a clear.
    const auto literal = static_cast<std::uint32_t>(i * 7 % 256);
    codes.put(literal, width);
    plain.push_back(static_cast<std::uint8_t>(literal));
    if (next < 4'095 && ++next == 1U << width) ++width;
  }
  codes.put(4'095, 12).put(257, 12);  // The last one that was learned: two literals.
  Memory out;
  REQUIRE(unpack(codes.bytes(), 5'002, out).status == LzwStatus::kOk);
  CHECK(out.size() == 5'002);
  CHECK(std::equal(plain.begin(), plain.end(), out.begin()));
  CHECK(out[5'000] == plain[4'095 - 258]);
  CHECK(out[5'001] == plain[4'095 - 258 + 1]);
}

}  // namespace
}  // namespace shoal::wire
