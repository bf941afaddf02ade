// msgpack as gossip has it: the *old raw* flavour (gossip-protocol facts 1.8). Strings and bytes are written alike, as
// raw (fixraw, raw16, raw32); str8 and bin never, since old peers refuse them.
//
// The reader takes what the Go peers take, and no less:
//
//   nil                    for any field: its zero value; for a whole struct: all zero
//   integers               any form, if the value is in the field's range; never a float
//   bool                   true, false, 0, 1
//   float                  float32, float64, any integer
//   text                   raw, str8 and bin in all sizes
//   bytes                  the same, and an array of numbers, here only of numbers below 128 written in one byte each:
//                          those lie in the input as the bytes they mean, and views can only be borrowed
//   struct                 a map (unknown keys skipped whatever their value, missing ones zero, of two equal ones the
//                          last counts, a key that is no text is an error), or an array in the order of Go's
//                          declaration
//
// Nothing here recurses, so depth costs nothing; no count is believed that is larger than the bytes behind it.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

#include "base/bytes.h"

namespace shoal::wire::msgpack {

// ---- Writing

void put_nil(ByteWriter& out);
void put_bool(ByteWriter& out, bool value);
/// In the smallest form.
void put_uint(ByteWriter& out, std::uint64_t value);
/// A field that is signed in Go: one byte from -32 to 127, beyond that int8 (negative only), int16, 32, 64, as current
/// Go peers write it. Old peers write what is not negative in the unsigned form; everybody reads both.
void put_int(ByteWriter& out, std::int64_t value);
/// As float64, whatever the value.
void put_float(ByteWriter& out, double value);
void put_text(ByteWriter& out, std::string_view text);
/// Nothing is written as nil.
void put_bytes(ByteWriter& out, Bytes bytes);
void put_raw_header(ByteWriter& out, std::uint32_t size);
void put_map(ByteWriter& out, std::uint32_t pairs);
void put_array(ByteWriter& out, std::uint32_t elements);

// A key and its value.
void put_bool(ByteWriter& out, std::string_view key, bool value);
void put_uint(ByteWriter& out, std::string_view key, std::uint64_t value);
void put_int(ByteWriter& out, std::string_view key, std::int64_t value);
void put_float(ByteWriter& out, std::string_view key, double value);
void put_text(ByteWriter& out, std::string_view key, std::string_view text);
void put_bytes(ByteWriter& out, std::string_view key, Bytes bytes);

// ---- Reading

enum class ScanStatus : std::uint8_t { kIncomplete, kComplete, kMalformed, kTooLarge };

/// Finds the end of one object, however it is nested, in input that may still be growing: goes on where it stopped.
class ObjectScanner {
 public:
  /// `input` starts where the object starts. kTooLarge as soon as the object cannot end within `limit` bytes.
  [[nodiscard]] ScanStatus advance(Bytes input, std::size_t limit);
  /// For kComplete: the size of the object.
  [[nodiscard]] std::size_t size() const { return position_; }

 private:
  std::size_t position_ = 0;  // Of the next token; may lie ahead of the input.
  std::uint64_t tokens_ = 1;  // Still to come.
};

/// Reads object by object with sticky failure: afterwards everything is zero or empty and `ok()` is false.
class Reader {
 public:
  explicit Reader(Bytes input) : in_(input) {}

  [[nodiscard]] bool ok() const { return in_.ok(); }
  [[nodiscard]] std::size_t left() const { return in_.left(); }
  [[nodiscard]] Bytes rest() const { return in_.rest(); }
  void fail() { in_.fail(); }

  /// Fails on more than `max`.
  std::uint64_t read_uint(std::uint64_t max);
  template <typename Unsigned>
  Unsigned read_uint() {
    return static_cast<Unsigned>(read_uint(std::numeric_limits<Unsigned>::max()));
  }
  std::int64_t read_int();
  bool read_bool();
  /// Either size, or any integer. May be NaN or infinite.
  double read_float();
  std::string_view read_text();
  Bytes read_bytes();
  /// The number of elements, 0 for nil. At least one byte of input is left for each.
  std::uint32_t read_array();
  /// The number of pairs, 0 for nil.
  std::uint32_t read_map();
  /// Text, but not nil.
  std::string_view read_key();
  /// Any object, as it stands.
  Bytes skip();

  [[nodiscard]] bool at_nil() const { return in_.left() > 0 && in_.peek() == 0xc0; }
  [[nodiscard]] bool at_array() const;

 private:
  struct Integer {
    bool negative = false;
    std::uint64_t value = 0;  // As two's complement when negative.
  };
  Integer read_integer();
  std::uint32_t read_raw_size(std::uint8_t type);

  ByteReader in_;
};

/// Reads a struct whose fields, in the order of their declaration in Go, are `names`: calls f(index) for each that is
/// there, which must read one object.
template <std::size_t kCount, typename F>
void read_struct(Reader& in, const std::array<std::string_view, kCount>& names, F&& f) {
  if (in.at_array()) {
    const std::uint32_t count = in.read_array();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
      if (i < kCount) {
        f(i);
      } else {
        in.skip();
      }
    }
    return;
  }
  const std::uint32_t count = in.read_map();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    const std::string_view key = in.read_key();
    std::uint32_t field = 0;
    while (field < kCount && names[field] != key) ++field;
    if (field < kCount) {
      f(field);
    } else {
      in.skip();
    }
  }
}

}  // namespace shoal::wire::msgpack
