#include "base/bytes.h"

#include <doctest/doctest.h>

#include <array>

namespace shoal {
namespace {

TEST_CASE("numbers are read big-endian, one after the other") {
  const std::uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  ByteReader in(bytes);
  CHECK(in.peek() == 1);
  CHECK(in.u8() == 0x01);
  CHECK(in.u16() == 0x0203);
  CHECK(in.u32() == 0x04050607);
  CHECK(in.u64() == 0x08090a0b0c0d0e0fULL);
  CHECK(in.position() == 15);
  CHECK(in.left() == 1);
  CHECK(in.rest().size() == 1);
  CHECK(in.ok());
}

TEST_CASE("reading past the end fails, and everything after that is zero or empty") {
  const std::uint8_t bytes[] = {1, 2, 3};
  ByteReader in(bytes);
  CHECK(in.u32() == 0);
  CHECK_FALSE(in.ok());
  CHECK(in.u8() == 0);  // Although a byte is there.
  CHECK(in.left() == 0);
  CHECK(in.rest().empty());
  CHECK(in.take(1).empty());
  CHECK(in.peek() == 0);
}

TEST_CASE("the end itself is no failure, and taking nothing there works") {
  const std::uint8_t bytes[] = {1};
  ByteReader in(bytes);
  CHECK(in.u8() == 1);
  CHECK(in.peek() == 0);
  CHECK(in.take(0).empty());
  CHECK(in.ok());
  CHECK(in.take(1).empty());
  CHECK_FALSE(in.ok());
}

TEST_CASE("a size near the largest number fails and does not wrap") {
  const std::uint8_t bytes[] = {1, 2, 3};
  ByteReader in(bytes);
  in.u8();
  CHECK(in.take(~std::size_t{0}).empty());
  CHECK_FALSE(in.ok());
}

TEST_CASE("numbers and text are written big-endian, one after the other") {
  std::array<std::uint8_t, 18> memory{};
  ByteWriter out(memory);
  out.u8(0x01);
  out.u16(0x0203);
  out.u32(0x04050607);
  out.u64(0x08090a0b0c0d0e0fULL);
  out.put("xyz");
  const std::uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 'x', 'y', 'z'};
  CHECK(out.ok());
  CHECK(out.left() == 0);
  CHECK(same_bytes(out.written(), expected));
}

TEST_CASE("what does not fit leaves the written bytes alone, and nothing is written after it") {
  std::array<std::uint8_t, 4> memory = {9, 9, 9, 9};
  ByteWriter out(memory);
  out.u16(0x0102);
  out.u32(5);
  CHECK_FALSE(out.ok());
  out.u8(7);
  CHECK(out.size() == 2);
  CHECK(out.left() == 0);
  CHECK(out.free_space().empty());
  const std::uint8_t expected[] = {1, 2, 9, 9};
  CHECK(same_bytes(memory, expected));
  ByteWriter text(memory);
  text.put("12345");
  CHECK_FALSE(text.ok());
  CHECK(text.size() == 0);
  CHECK(same_bytes(memory, expected));
}

TEST_CASE("what was written in place is taken over by advance, and no more than there is room for") {
  std::array<std::uint8_t, 4> memory{};
  ByteWriter out(memory);
  out.free_space()[0] = 42;
  out.advance(1);
  CHECK(out.written()[0] == 42);
  out.advance(4);
  CHECK_FALSE(out.ok());
  CHECK(out.size() == 1);
}

TEST_CASE("bytes are the same when size and content are, empty ones always") {
  CHECK(same_bytes({}, {}));
  CHECK(same_bytes(as_bytes("ab"), as_bytes("ab")));
  CHECK_FALSE(same_bytes(as_bytes("ab"), as_bytes("ac")));
  CHECK_FALSE(same_bytes(as_bytes("ab"), as_bytes("abc")));
  CHECK(as_text(as_bytes("ab")) == "ab");
}

}  // namespace
}  // namespace shoal
